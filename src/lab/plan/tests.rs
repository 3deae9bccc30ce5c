use super::*;

/// A mode without further settings.
fn plain(mode: Mode) -> Variant {
    Variant::new(mode, Copies::Auto, Control::Auto)
}

#[test]
fn a_plan_survives_writing_and_parsing() {
    let plan = Plan { loss: vec![0.5, 7.0], modes: Mode::ALL.to_vec(), ..Plan::default() };
    assert_eq!(Plan::parse(&plan.text()).unwrap(), plan);
    assert_eq!(Plan::parse("").unwrap(), Plan::default());
    assert_eq!(Plan::parse("loss = [3]\n").unwrap().loss, [3.0], "whole numbers too");
    for text in ["loss = 5", "loss = [\"5%\"]", "loss = \"5 %\"", "loss = [5.0]"] {
        assert_eq!(Plan::parse(text).unwrap().loss, [5.0], "{text}");
    }
    let text = "loss = \"0, 5%\"\ndelay_ms = [\"25ms\", 0.5]\nduration_s = \"2s\"";
    let parsed = Plan::parse(text).unwrap();
    assert_eq!((parsed.loss, parsed.delay_ms), (vec![0.0, 5.0], vec![25.0, 0.5]));
    assert_eq!(parsed.duration_s, 2.0);
}

#[test]
fn errors_name_the_line_and_the_remedy() {
    for (text, wanted) in [
        ("seed = 1\nlos = [5]", ["line 2", "did you mean `loss`?"]),
        ("seed = 1\nloss = [5, 120]", ["line 2", "a share is between 0% and 100%"]),
        ("modes = [\"udp\"]", ["line 1", "choose from unreliable"]),
        ("duration_s = 0", ["line 1", "not between 10ms and 1day"]),
        ("rate = \"fast\"", ["line 1", "fast is not a number"]),
        ("loss = [nan]", ["line 1", "not a number"]),
    ] {
        let error = Plan::parse(text).unwrap_err().to_string();
        assert!(wanted.iter().all(|part| error.contains(part)), "{text}: {error}");
    }
    let empty = Plan { modes: vec![], ..Plan::default() };
    assert!(empty.trials().unwrap_err().to_string().contains("modes is empty"));
    let huge =
        Plan { loss: vec![1.0; 1_000], repetitions: Repetitions::Fixed(1_000), ..Plan::default() };
    assert!(huge.trials().unwrap_err().to_string().contains("too many"));
    let absurd = Plan { loss: vec![99.0], burst: vec![2.0], ..Plan::default() };
    assert!(absurd.trials().is_err());
}

#[test]
fn names_and_seeds_of_runs_are_unique() {
    let trials = Plan::default().trials().unwrap();
    assert_eq!(trials.len(), 12);
    let names: std::collections::BTreeSet<_> =
        trials.iter().map(|trial| (trial.run(&plain(Mode::Tcp)), trial.seed)).collect();
    assert_eq!(names.len(), 12);
    assert_eq!(trials[2].run(&plain(Mode::Tcp)), "loss5-delay25-jitter0-burst1-tcp-1");
    assert_eq!(trials[2].spec, "loss 5%, delay 25ms".parse().unwrap());
    let odd = Plan { loss: vec![7.0], burst: vec![3.0], ..Plan::default() };
    assert_eq!(odd.trials().unwrap()[0].spec, "loss 7% burst 3, delay 25ms".parse().unwrap());
}

#[test]
fn a_repeated_value_is_measured_once_and_close_values_both() {
    let modes = vec![Mode::Tcp, Mode::Unreliable, Mode::Tcp, Mode::Tcp];
    let mut plan = Plan { loss: vec![5.0, 5.000_000_1, 5.0], modes, ..Plan::default() };
    assert!(matches!(plan.trials(), Err(Error::Repeated(_))));
    let said = plan.remove_repeats();
    let end = "is repeated in the plan: it is measured once";
    assert_eq!(said, [format!("loss 5 {end}"), format!("mode tcp {end}")]);
    assert_eq!(plan.modes, [Mode::Tcp, Mode::Unreliable]);
    let trials = plan.trials().unwrap();
    assert_eq!(trials[1].run(&plain(Mode::Tcp)), "loss5.0000001-delay25-jitter0-burst1-tcp-1");
    assert_ne!(trials[0].spec, trials[1].spec);
}

#[test]
fn conditions_translate_to_netem_arguments() {
    for (loss, jitter_ms, burst, words) in [
        (0.0, 0.0, 1.0, "delay 25ms"),
        (0.0, 0.0, 3.0, "delay 25ms"),
        (7.0, 0.5, 1.0, "delay 25ms 0.5ms loss 7%"),
        // r = 1/4, p = 0.2 / 0.8 of it.
        (20.0, 0.0, 4.0, "delay 25ms loss gemodel 6.25% 25% 100% 0%"),
    ] {
        let (loss, jitter_ms, burst) = (vec![loss], vec![jitter_ms], vec![burst]);
        let plan = Plan { loss, jitter_ms, burst, ..Plan::default() };
        assert_eq!(plan.trials().unwrap()[0].netem(), words);
    }
}

#[test]
fn a_shell_can_split_the_lines_of_runs() {
    let plan = Plan { loss: vec![0.1, 7.0], burst: vec![1.0, 1.3], ..Plan::default() };
    let text = plan.runs_text().unwrap();
    assert_eq!(text.lines().count(), 2 * 2 * 3 * 4);
    for line in text.lines() {
        let columns: Vec<_> = line.split('\t').collect();
        let [name, netem, "auto", server, load] = columns[..] else { panic!("{line}") };
        assert!(load.contains(&format!("--name {name} ")) && netem.starts_with("delay "));
        assert!(server.ends_with("--heartbeat 2000ms --expiry 10000ms"), "{line}");
        // No character that a shell expands, no leading, trailing or double space.
        let unquoted = |c: char| c.is_ascii_alphanumeric() || " .:%-".contains(c);
        assert!(line.replace('\t', "").chars().all(unquoted), "{line}");
        assert!(columns.iter().all(|it| it.split(' ').all(|word| !word.is_empty())), "{line}");
    }
}

#[test]
fn modes_without_copies_are_measured_once_whatever_the_redundancy() {
    let plan = Plan::parse("redundancy = [\"off\", 2]\nloss = 5\nrepetitions = 1").unwrap();
    assert_eq!(plan.redundancy, [Copies::Fixed(0), Copies::Fixed(2)]);
    let trials = plan.trials().unwrap();
    assert_eq!(trials.len(), 1, "all variants meet the same losses");
    let names: Vec<_> = plan.variants().iter().map(|it| trials[0].run(it)).collect();
    let modes = [
        "unreliable",
        "reliable-ordered-copies0",
        "reliable-ordered-copies2",
        "reliable-unordered-copies0",
        "reliable-unordered-copies2",
        "tcp",
    ];
    assert_eq!(names, modes.map(|mode| format!("loss5-delay25-jitter0-burst1-{mode}-1")));
    let text = plan.runs_text().unwrap();
    assert_eq!(text.matches("--redundancy off ").count(), 2 * 2, "server and load: {text}");
    assert_eq!(Plan::parse(&plan.text()).unwrap(), plan);
}

#[test]
fn tcp_and_quic_have_congestion_controls_each_its_own() {
    let text = "congestion = [\"auto\", \"reno\"]\nloss = 5\nrepetitions = 1\n";
    let plan = Plan::parse(text).unwrap();
    let trials = plan.trials().unwrap();
    let names: Vec<_> = plan.variants().iter().map(|it| trials[0].run(it)).collect();
    let modes = ["unreliable", "reliable-ordered", "reliable-unordered", "tcp", "tcp-reno"];
    assert_eq!(names, modes.map(|mode| format!("loss5-delay25-jitter0-burst1-{mode}-1")));
    let text = plan.runs_text().unwrap();
    assert_eq!((text.matches("\tauto\t").count(), text.matches("\treno\t").count()), (4, 1));
    assert_eq!(Plan::parse(&plan.text()).unwrap(), plan);
    let error = Plan::parse("congestion = \"../bbr\"").unwrap_err().to_string();
    assert!(error.contains("no name of a congestion control"), "{error}");

    let plan = |modes: &str, congestion: &str| Plan {
        modes: modes.split(',').map(|it| mode(it).unwrap()).collect(),
        congestion: congestion.split(',').map(|it| control(it).unwrap()).collect(),
        loss: vec![5.0],
        repetitions: Repetitions::Fixed(1),
        ..Plan::default()
    };
    let all = plan("unreliable,tcp,quic-unreliable", "reno,new-reno,bbr");
    let names = all.variants().iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let each = "tcp-reno tcp-bbr quic-unreliable-new-reno quic-unreliable-bbr";
    assert_eq!(names, format!("unreliable {each}"));
    let text = all.runs_text().unwrap();
    assert_eq!(text.matches("--congestion new-reno ").count(), 2, "server and load: {text}");
    assert_eq!(text.matches("--congestion ").count(), 2 * 2, "TCP's is the kernel's: {text}");
    for (modes, congestion, wanted) in [
        ("tcp,quic-unreliable", "reno", "quic-unreliable has none of these congestion controls"),
        ("tcp", "new-reno", "tcp has none"),
        ("unreliable", "bbr", "congestion is for tcp and the modes of QUIC"),
    ] {
        let error = plan(modes, congestion).trials().unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }
}

#[test]
fn networks_and_loads_are_dimensions() {
    let text = "loss = 0\nbandwidth = [\"off\", \"2mbit\"]\nqueue = \"20, 100\"\nrate = [10, 50]\n\
                size = [64, 500]\nrepetitions = 1\nmodes = \"tcp\"";
    let plan = Plan::parse(text).unwrap();
    assert_eq!(Plan::parse(&plan.text()).unwrap(), plan);
    let trials = plan.trials().unwrap();
    assert_eq!(trials.len(), 3 * 2 * 2, "an unlimited bandwidth has no queue");
    assert_eq!(
        trials[0].run(&plain(Mode::Tcp)),
        "loss0-delay25-jitter0-burst1-rate10-size64-tcp-1"
    );
    let last = &trials[11];
    let name = "loss0-delay25-jitter0-burst1-2mbit-queue100-rate50-size500";
    assert_eq!((&*last.name, last.rate, last.size), (name, 50.0, 500));
    assert_eq!(last.spec, "delay 25ms, rate 2mbit, limit 100".parse().unwrap());
    assert_eq!(last.netem(), "delay 25ms rate 2000000bit limit 100");
    let line = plan.runs_text().unwrap().lines().last().unwrap().to_owned();
    assert!(
        line.contains("--rate 50 --size 500") && line.ends_with("0:25:0:1:2mbit:100"),
        "{line}"
    );
    let seeds: std::collections::BTreeSet<_> = trials.iter().map(|it| it.seed).collect();
    assert_eq!(seeds.len(), 12);
}

#[test]
fn automatic_repetitions_have_trials_up_to_their_limit() {
    let plan = Plan::parse("loss = 0\nrepetitions = \"auto:5%:12\"").unwrap();
    assert_eq!(plan.repetitions, Repetitions::Auto { percent: 5.0, most: 12 });
    assert_eq!(plan.trials().unwrap().len(), 12);
    assert_eq!(Plan::parse(&plan.text()).unwrap(), plan);
}
