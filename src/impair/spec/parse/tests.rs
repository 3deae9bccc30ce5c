//! Every error in full, every form, and the round trip.

use super::*;
use proptest::{collection::vec, option, prelude::*};

fn spec(text: &str) -> Spec {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn items_configure_both_directions_or_one() {
    let both = spec("loss 5%, delay 25ms, jitter 5ms");
    assert_eq!(both.up, both.down);
    assert_eq!(both.up.loss, Loss::Independent(Share::from_ratio(0.05)));
    assert_eq!(both.up.delay, Duration::from_millis(25));
    let apart = spec("up: loss 5%; down: delay 10ms");
    assert_eq!(apart.up, spec("loss 5%").up);
    assert_eq!(apart.down, spec("delay 10ms").down);
    let differing = spec("delay 10ms, loss 1%; up: loss 5%");
    assert_eq!(differing.to_string(), "up: loss 5%, delay 10ms; down: loss 1%, delay 10ms");
}

#[test]
fn presets_take_overrides_and_differ_by_direction() {
    for (name, _) in PRESETS {
        assert_ne!(spec(name), Spec::default(), "{name}");
    }
    let wifi = spec("wifi, loss 2%");
    assert_eq!(wifi.up, Profile { loss: spec("loss 2%").up.loss, ..spec("wifi").up });
    assert_eq!(spec("cellular").up.rate, Some(5_000_000));
    assert_eq!(spec("up: cellular").up, spec("cellular").up);
    assert_eq!(spec("down: cellular").down.rate, Some(20_000_000));
    assert_eq!(spec("wifi; down: none").down, Profile::default());
}

#[test]
fn the_text_form_is_canonical() {
    for (text, canonical) in [
        ("none", "none"),
        ("loss 0%", "none"),
        ("LOSS 5.50%", "loss 5.5%"),
        (" jitter  5ms ,delay 0.025s", "delay 25ms, jitter 5ms"),
        ("delay 1500us", "delay 1.5ms"),
        ("down: loss 0.0000001%", "down: loss 0.0000001%"),
        ("drop 17-18, 5,19,  every 10", "drop 5,17-19, every 10"),
        ("blackhole 0s-500ms, 2s-5s", "blackhole 0s-500ms,2s-5s"),
        ("limit 7,rate 1500kbit", "rate 1.5mbit, limit 7"),
        ("loss 5% burst 3.5", "loss 5% burst 3.5"),
        ("gilbert 1% 25% 100% 0%", "gilbert 1% 25%"),
        ("gilbert 1% 25% 100% 1%", "gilbert 1% 25% 100% 1%"),
        ("gilbert 1% 25% 90%", "gilbert 1% 25% 90%"),
        ("loss 5", "loss 5%"),
        ("loss 5 %, delay 25 ms", "loss 5%, delay 25ms"),
        ("loss 5 burst 3, duplicate 1 %", "loss 5% burst 3, duplicate 1%"),
        ("gilbert 1 25 % 90", "gilbert 1% 25% 90%"),
        ("delay 1m, rate 2 mbit", "delay 60s, rate 2mbit"),
        ("blackhole 2 s-5 s", "blackhole 2s-5s"),
    ] {
        assert_eq!(spec(text).to_string(), canonical, "{text}");
    }
}

#[test]
fn every_error_names_the_item_and_the_remedy() {
    for (text, error) in [
        ("loss 120%", "loss 120%: a share is between 0% and 100%"),
        ("delay 5ms, loss -1%", "loss -1%: a share is between 0% and 100%"),
        ("los 5%", "los: unknown impairment; did you mean loss?"),
        ("wify", "wify: unknown impairment; did you mean wifi?"),
        (
            "weather",
            "weather: unknown impairment; choose from loss, gilbert, drop, every, blackhole, \
             delay, jitter, duplicate, corrupt, rate, limit, wifi, cellular, satellite, \
             congested, lossy-lab, none",
        ),
        ("loss", "loss: has the wrong form; write loss 5% or loss 5% burst 3"),
        (
            "loss 5% bursts 3",
            "loss 5% bursts 3: has the wrong form; write loss 5% or loss 5% burst 3",
        ),
        ("loss five", "loss five: five is not a number; write for example 5%"),
        ("delay 25", "delay 25: 25 has no unit; write 25ms, 25s or 25m"),
        ("delay soon", "delay soon: soon is not a time; write it as 500ms, 2s or 1h 30m"),
        ("delay 1.2.3ms", "delay 1.2.3ms: 1.2.3ms is not a time; write it as 500ms, 2s or 1h 30m"),
        ("delay 0.5us", "delay 0.5us: 0.5us is not a whole number of microseconds"),
        ("delay 25h", "delay 25h: 25h is not between 0s and 1day"),
        ("delay 99999999s", "delay 99999999s: 99999999s is not between 0s and 1day"),
        ("rate 2mbps", "rate 2mbps: unknown unit mbps; write 2gbit or 2mbit or 2kbit or 2bit"),
        ("rate 0bit", "rate 0bit: a rate is between 1bit and 100gbit, per second"),
        ("limit 5", "limit 5: a limit needs a rate; add one, such as rate 2mbit"),
        ("rate 1mbit, limit 0", "limit 0: a queue holds 1 to 10000 packets"),
        ("every 0", "every 0: write a whole number from 1, as in every 10"),
        ("drop 9-7", "drop 9-7: 9-7: ends before it begins; write 7-9"),
        ("drop 1,…", "drop 1,…: …: the list is truncated here, so the rest is unknown"),
        ("blackhole 2s", "blackhole 2s: 2s has no end; write for example 2s-5s"),
        ("blackhole 5s-2s", "blackhole 5s-2s: 5s-2s ends before it begins"),
        ("loss 5% burst 0.5", "loss 5% burst 0.5: a burst is from 1 to 1000000 packets long"),
        (
            "loss 60% burst 1",
            "loss 60% burst 1: at least one packet gets through between two bursts; lower the \
             loss or lengthen the bursts",
        ),
        ("loss 1%, gilbert 1% 1%", "gilbert 1% 1%: the loss is already set; keep one of the two"),
        (
            "loss 5%, wifi",
            "wifi: a preset comes first and takes no arguments; items after it override it",
        ),
        (
            "loss 2,5%",
            "5%: a number needs a name before it, as in delay 25ms, and a decimal point instead of \
             a comma, as in 2.5%",
        ),
        ("", "\"\": an item is missing; write for example loss 5%, delay 25ms, or none"),
        (
            "loss 5%,",
            "loss 5%,: an item is missing; write for example loss 5%, delay 25ms, or none",
        ),
        ("left: loss 5%", "left: a direction is up: (from the client) or down:"),
        ("up: none; up: none", "up: is given twice; join both with a comma"),
        ("up: none; wifi", "wifi: move the items for both directions before up: and down:"),
        (
            "a\u{1b}[2J",
            "a\u{fffd}[2j: unknown impairment; choose from loss, gilbert, drop, every, \
             blackhole, delay, jitter, duplicate, corrupt, rate, limit, wifi, cellular, satellite, \
             congested, lossy-lab, none",
        ),
    ] {
        assert_eq!(text.parse::<Spec>().unwrap_err().to_string(), error);
    }
    let long = format!("drop {}x", "1,".repeat(1_000));
    assert!(long.parse::<Spec>().unwrap_err().to_string().chars().count() < 200);
}

#[test]
fn a_burst_maps_to_chain_probabilities() {
    let (p, r) = Burst::from_packets(3.0).chain(Share::from_ratio(0.05));
    assert_eq!((p.billionths(), r.billionths()), (17_543_860, 333_333_333));
    assert!(Burst::from_packets(1.0).fits(Share::from_ratio(0.5)));
    assert!(!Burst::from_packets(1.0).fits(Share::from_ratio(0.500_001)));
    assert!(!Burst::from_packets(1e6).fits(Share::ALL));
}

#[test]
fn distance_counts_edits() {
    for (a, b, letters) in [("los", "loss", 1), ("", "up", 2), ("kitten", "sitting", 3)] {
        assert_eq!(distance(a, b), letters);
    }
}

fn share_of_any_size() -> impl Strategy<Value = Share> {
    prop_oneof![Just(0), Just(1_000_000_000), 0..=1_000_000_000_u64]
        .prop_map(Share::from_billionths)
}

fn any_loss() -> impl Strategy<Value = Loss> {
    let share = share_of_any_size;
    prop_oneof![
        share().prop_map(Loss::Independent),
        (share(), 1_000..=1_000_000_000_u64)
            .prop_map(|(loss, mean)| (loss, Burst::from_thousandths(mean)))
            .prop_filter("possible", |(loss, mean)| mean.fits(*loss))
            .prop_map(|(loss, mean)| Loss::Burst { loss, mean }),
        (share(), share(), share(), share()).prop_map(|(p, r, bad, good)| Loss::Gilbert {
            p,
            r,
            bad,
            good
        }),
    ]
}

fn any_time() -> impl Strategy<Value = Duration> {
    prop_oneof![Just(0), 0..2_000_u64, 0..=86_400_000_000_u64].prop_map(Duration::from_micros)
}

fn any_profile() -> impl Strategy<Value = Profile> {
    let window = (any_time(), any_time())
        .prop_filter("not empty", |(start, end)| start < end)
        .prop_map(|(start, end)| start..end);
    let drop = vec((any::<u64>(), 0..5_u64), 0..5)
        .prop_map(|all| all.into_iter().map(|(at, n)| (at, at.saturating_add(n))).collect());
    (
        (any_loss(), drop, option::of(any::<NonZeroU64>()), vec(window, 0..3)),
        (any_time(), any_time(), share_of_any_size(), share_of_any_size()),
        option::of((1..=100_000_000_000_u64, option::of(1..=MAX_HELD))),
    )
        .prop_map(
            |((loss, drop, every, blackholes), (delay, jitter, duplicate, corrupt), line)| {
                let (rate, limit) = (line.map(|(rate, _)| rate), line.and_then(|(_, limit)| limit));
                Profile {
                    loss,
                    drop,
                    every,
                    blackholes,
                    delay,
                    jitter,
                    duplicate,
                    corrupt,
                    rate,
                    limit,
                }
            },
        )
}

proptest! {
    #[test]
    fn the_text_form_parses_back(up in any_profile(), down in any_profile(), same: bool) {
        let down = if same { up.clone() } else { down };
        let spec = Spec { up, down };
        prop_assert_eq!(spec.to_string().parse(), Ok(spec));
    }

    #[test]
    fn any_text_is_accepted_or_rejected(
        text in "(?s)(loss|drop|delay|rate|up|wifi|[,;:% .0-9-]|\\PC){0,12}",
    ) {
        if let Ok(spec) = text.parse::<Spec>() {
            prop_assert_eq!(spec.to_string().parse(), Ok(spec));
        }
    }
}
