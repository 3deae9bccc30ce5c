//! QUIC over netem and over the lab's network: each mode delivers the same share. All losses and
//! modes take minutes, so a run measures two modes at 5 % loss; `CHATAGRAM_NETEM=all` measures all.

use super::{Case, LOSSES, TOOLS, WHOLE, counters, delivery, figures, is_whole, measure_both};
use crate::needs::{needs, needs_time};
use chatagram::lab::record::Mode;

const MODES: [Mode; 3] =
    [Mode::QuicUnreliable, Mode::QuicReliableOrdered, Mode::QuicReliableUnordered];

fn delivers_alike_over_netem_and_the_emulated_network() {
    needs_time();
    needs(&TOOLS);
    let all = is_whole();
    let (modes, losses): (&[Mode], &[f64]) =
        if all { (&MODES, LOSSES) } else { (&MODES[..2], &[5.0]) };
    let case = |mode: &Mode| Case {
        mode: *mode,
        losses,
        delay_ms: 25,
        senders: 1,
        receivers: 2,
        rate: 10.0,
        seconds: if all { 60 } else { 20 },
    };
    let cases: Vec<_> = modes.iter().map(case).collect();
    let dir = tempfile::tempdir().unwrap();
    let both = measure_both(dir.path(), &cases);
    let mut wrong = Vec::new();
    for (index, case) in cases.iter().enumerate() {
        for loss in case.losses {
            let both =
                both.each_ref().map(|out| figures(&out.join(index.to_string()), case, *loss));
            let name = format!("{} at {loss} %", case.mode);
            let mut check = |holds: bool, what: String| {
                if !holds {
                    wrong.push(format!("{name}: {what}"));
                }
            };
            delivery(&both, case, *loss, &mut check);
            both.iter().for_each(|it| counters(&it.info, case, *loss, &mut check));
            let [netem, emulated] = both.map(|it| (it.delivered, it.rows));
            println!("{name}: delivered over netem and emulated {netem:?}, {emulated:?}");
        }
    }
    if !all {
        println!("the other modes, and 0, 1 and 10 % loss: {WHOLE}=all");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

tests! {
    delivers_alike_over_netem_and_the_emulated_network,
}
