use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn registry() -> Registry {
    let expiry = 10 * SECOND;
    Registry::new(Capacity { peers: 3, peers_per_ip: 2, expiry })
}

fn path(ip: u8) -> Path {
    Path::routed(0, ([10, 0, 0, ip], 1).into())
}

fn name(raw: &str) -> Nickname {
    Nickname::parse(raw).unwrap()
}

#[test]
fn a_name_belongs_to_one_peer_whatever_its_case_or_script() {
    let mut registry = registry();
    let now = Timestamp::ZERO;
    let alice = registry.insert(name("alice"), [1; 16], path(1), &[], now);
    assert_eq!(alice, Ok(PeerId(0)));
    for look_alike in ["ALICE", "a1ice"] {
        let refused = registry.insert(name(look_alike), [2; 16], path(2), &[], now);
        assert_eq!(refused, Err(Unavailable::NameTaken), "{look_alike}");
    }
}

#[test]
fn a_reserved_name_is_for_whoever_has_its_token_and_for_nobody_else_ever() {
    let mut registry = registry();
    let now = Timestamp::ZERO;
    registry.reserve(&name("alice"), [7; 16]);
    let come = |registry: &mut Registry, raw, resume: &[u8]| {
        registry.insert(name(raw), [2; 16], path(1), resume, now)
    };
    for (look_alike, resume) in [("a1ice", &[][..]), ("ALICE", &[2; 16]), ("alice", &[7; 15])] {
        let refused = come(&mut registry, look_alike, resume);
        assert_eq!(refused, Err(Unavailable::NameTaken), "{look_alike}");
    }
    for _ in 0..2 {
        let host = come(&mut registry, "alice", &[7; 16]).unwrap();
        assert_eq!(registry.entry(host).unwrap().token, [7; 16]);
        registry.retire(host);
        registry.remove(host, false, now);
        assert_eq!(come(&mut registry, "a1ice", &[]), Err(Unavailable::NameTaken));
    }
}

#[test]
fn rooms_and_addresses_have_their_limits() {
    let mut registry = registry();
    let now = Timestamp::ZERO;
    registry.insert(name("a"), [0; 16], path(1), &[], now).unwrap();
    let b = registry.insert(name("b"), [0; 16], path(1), &[], now).unwrap();
    let refused = registry.insert(name("c"), [0; 16], path(1), &[], now);
    assert_eq!(refused, Err(Unavailable::TooManyFromAddress));
    registry.relocate(b, path(2));
    registry.insert(name("c"), [0; 16], path(1), &[], now).unwrap();
    let refused = registry.insert(name("d"), [0; 16], path(3), &[], now);
    assert_eq!(refused, Err(Unavailable::Full));
    registry.remove(b, false, now);
    assert_eq!(registry.insert(name("d"), [0; 16], path(3), &[], now), Ok(PeerId(3)));
}

#[test]
fn an_address_has_no_more_peers_however_they_came_there() {
    let mut registry = registry();
    let now = Timestamp::ZERO;
    let come = |registry: &mut Registry, raw, ip| {
        registry.insert(name(raw), [0; 16], path(ip), &[], now).unwrap()
    };
    let (a, _) = (come(&mut registry, "a", 1), come(&mut registry, "b", 1));
    let c = come(&mut registry, "c", 2);
    assert!(!registry.relocate(c, path(1)) && !registry.renew(c, path(1), now));
    assert_eq!(registry.entry(c).unwrap().path, path(2));
    let port = Path::routed(0, ([10, 0, 0, 1], 7).into());
    assert!(registry.relocate(a, port), "another port is no other address");
    assert!(registry.relocate(a, path(3)) && registry.relocate(c, path(1)));
}

#[test]
fn only_the_silent_expire_and_their_name_waits_for_its_owner() {
    let mut registry = registry();
    let at = |seconds: u32| Timestamp::ZERO + seconds * SECOND;
    let a = registry.insert(name("a"), [7; 16], path(1), &[], at(0)).unwrap();
    let b = registry.insert(name("b"), [8; 16], path(1), &[], at(0)).unwrap();
    registry.heard(a, at(0));
    registry.heard(b, at(9));
    assert_eq!(registry.expired(at(9)), None);
    assert_eq!(registry.expired(at(10)), Some(a));
    registry.remove(a, true, at(10));
    assert_eq!(registry.expired(at(18)), None);
    assert_eq!(registry.poll_timeout(), Some(at(19)));
    let stranger = registry.insert(name("A"), [9; 16], path(2), &[], at(20));
    assert_eq!(stranger, Err(Unavailable::NameHeld(20 * SECOND)));
    assert!(registry.insert(name("A"), [9; 16], path(2), &[7; 16], at(20)).is_ok());
}

#[test]
fn who_vanishes_again_and_again_wears_out_nobody_elses_hold() {
    let mut registry = registry();
    let now = Timestamp::ZERO;
    let vanish = |registry: &mut Registry, raw: &str, ip| {
        let peer = registry.insert(name(raw), [7; 16], path(ip), &[], now).unwrap();
        registry.heard(peer, now);
        registry.remove(peer, true, now);
    };
    vanish(&mut registry, "alice", 1);
    for flood in ["b", "c", "d", "e", "f"] {
        vanish(&mut registry, flood, 2);
    }
    let held = |registry: &mut Registry, raw: &str| {
        let stranger = registry.insert(name(raw), [9; 16], path(3), &[], now);
        stranger.is_err_and(|why| matches!(why, Unavailable::NameHeld(_)))
    };
    assert!(held(&mut registry, "alice") && held(&mut registry, "e"));
    assert_eq!(registry.holds.len(), 3, "two of one address, which may have two peers");
}

#[test]
fn a_held_name_is_free_after_thirty_seconds() {
    let mut registry = registry();
    let at = |seconds: u32| Timestamp::ZERO + seconds * SECOND;
    let a = registry.insert(name("a"), [7; 16], path(1), &[], at(0)).unwrap();
    registry.heard(a, at(0));
    registry.remove(a, true, at(10));
    let early = registry.insert(name("a"), [9; 16], path(2), &[], at(39));
    assert_eq!(early, Err(Unavailable::NameHeld(SECOND)));
    assert!(registry.insert(name("a"), [9; 16], path(2), &[], at(40)).is_ok());
}

#[test]
fn no_name_is_held_for_a_token_that_nobody_got() {
    let mut registry = registry();
    let now = Timestamp::ZERO;
    let come = |registry: &mut Registry, token: u8, resume: &[u8]| {
        registry.insert(name("a"), [token; 16], path(1), resume, now)
    };
    let unheard = come(&mut registry, 7, &[]).unwrap();
    registry.remove(unheard, true, now);
    let other = come(&mut registry, 8, &[]).unwrap();
    registry.heard(other, now);
    registry.remove(other, true, now);
    // Who comes with the token has it, also if nothing is heard of it after that.
    let back = come(&mut registry, 9, &[8; 16]).unwrap();
    registry.remove(back, true, now);
    assert!(matches!(come(&mut registry, 9, &[]), Err(Unavailable::NameHeld(_))));
    assert!(come(&mut registry, 9, &[8; 16]).is_ok());
}
