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
fn a_reserved_name_needs_its_token() {
    let mut registry = registry();
    let now = Timestamp::ZERO;
    registry.reserve(&name("alice"), [7; 16]);
    let join = |registry: &mut Registry, raw, resume: &[u8]| {
        registry.insert(name(raw), [2; 16], path(1), resume, now)
    };
    for (look_alike, resume) in [("a1ice", &[][..]), ("ALICE", &[2; 16]), ("alice", &[7; 15])] {
        let refused = join(&mut registry, look_alike, resume);
        assert_eq!(refused, Err(Unavailable::NameTaken), "{look_alike}");
    }
    for _ in 0..2 {
        let host = join(&mut registry, "alice", &[7; 16]).unwrap();
        assert_eq!(registry.entry(host).unwrap().token, [7; 16]);
        registry.retire(host);
        registry.remove(host);
        assert_eq!(join(&mut registry, "a1ice", &[]), Err(Unavailable::NameTaken));
    }
}

#[test]
fn a_renamed_peer_keeps_its_owner_and_its_old_name_is_free() {
    let mut registry = registry();
    let now = Timestamp::ZERO;
    registry.reserve(&name("host"), [7; 16]);
    let alice = registry.insert(name("alice"), [1; 16], path(1), &[], now).unwrap();
    let bob = registry.insert(name("bob"), [2; 16], path(1), &[], now).unwrap();
    let owner = registry.entry(alice).unwrap().owner;
    for taken in ["bob", "BOB", "h0st"] {
        let refused = registry.rename(alice, &name(taken), now);
        assert_eq!(refused, Err(Unavailable::NameTaken), "{taken}");
    }
    registry.heard(bob, now);
    registry.lose(bob, now);
    assert_eq!(registry.rename(alice, &name("b0b"), now), Err(Unavailable::NameHeld(NAME_HOLD)));
    assert_eq!(registry.named(&name("alice").key()), Some(alice), "nothing has changed");
    for new in ["Alice", "carol", "alicia"] {
        registry.rename(alice, &name(new), now).unwrap();
        assert_eq!(registry.named(&name(new).key()), Some(alice));
    }
    let entry = registry.entry(alice).unwrap();
    assert_eq!((entry.nickname.as_str(), entry.owner), ("alicia", owner));
    // Its client may not know the last name yet, and nobody else has the old one.
    let owner =
        |registry: &Registry, raw, token: [u8; 16]| registry.owner(&name(raw).key(), &token);
    assert_eq!(owner(&registry, "carol", [1; 16]), Some(alice));
    assert_eq!(owner(&registry, "alicia", [1; 16]), Some(alice));
    assert_eq!(owner(&registry, "carol", [9; 16]), None);
    assert_eq!(owner(&registry, "alice", [1; 16]), None, "two names ago");
    let other = registry.insert(name("carol"), [3; 16], path(2), &[], now).unwrap();
    assert_eq!(owner(&registry, "carol", [1; 16]), Some(alice));
    assert_eq!(owner(&registry, "carol", [3; 16]), Some(other));
    registry.remove(alice);
    assert_eq!(owner(&registry, "carol", [1; 16]), None);
    assert!(registry.former.is_empty() && registry.names.len() == 1);
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
    registry.remove(b);
    assert_eq!(registry.insert(name("d"), [0; 16], path(3), &[], now), Ok(PeerId(3)));
}

#[test]
fn the_limit_of_an_address_holds_for_peers_that_move_there() {
    let mut registry = registry();
    let now = Timestamp::ZERO;
    let join = |registry: &mut Registry, raw, ip| {
        registry.insert(name(raw), [0; 16], path(ip), &[], now).unwrap()
    };
    let (a, _) = (join(&mut registry, "a", 1), join(&mut registry, "b", 1));
    let c = join(&mut registry, "c", 2);
    assert!(!registry.relocate(c, path(1)) && !registry.renew(c, path(1), now));
    assert_eq!(registry.entry(c).unwrap().path, path(2));
    let port = Path::routed(0, ([10, 0, 0, 1], 7).into());
    assert!(registry.relocate(a, port), "the same address with another port");
    assert!(registry.relocate(a, path(3)) && registry.relocate(c, path(1)));
}

#[test]
fn silent_peers_expire_and_their_names_are_held_for_the_owners() {
    let mut registry = registry();
    let at = |seconds: u32| Timestamp::ZERO + seconds * SECOND;
    let a = registry.insert(name("a"), [7; 16], path(1), &[], at(0)).unwrap();
    let b = registry.insert(name("b"), [8; 16], path(1), &[], at(0)).unwrap();
    registry.heard(a, at(0));
    registry.heard(b, at(9));
    assert_eq!(registry.expired(at(9)), None);
    assert_eq!(registry.expired(at(10)), Some(a));
    registry.lose(a, at(10));
    assert_eq!(registry.expired(at(18)), None);
    assert_eq!(registry.poll_timeout(), Some(at(19)));
    let stranger = registry.insert(name("A"), [9; 16], path(2), &[], at(20));
    assert_eq!(stranger, Err(Unavailable::NameHeld(20 * SECOND)));
    assert!(registry.insert(name("A"), [9; 16], path(2), &[7; 16], at(20)).is_ok());
}

#[test]
fn repeated_expiries_at_one_address_displace_no_other_hold() {
    let mut registry = registry();
    let now = Timestamp::ZERO;
    let vanish = |registry: &mut Registry, raw: &str, ip| {
        let peer = registry.insert(name(raw), [7; 16], path(ip), &[], now).unwrap();
        registry.heard(peer, now);
        registry.lose(peer, now);
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
    assert_eq!(registry.holds.len(), 3, "one address may hold two names");
}

#[test]
fn a_held_name_is_free_after_thirty_seconds() {
    let mut registry = registry();
    let at = |seconds: u32| Timestamp::ZERO + seconds * SECOND;
    let a = registry.insert(name("a"), [7; 16], path(1), &[], at(0)).unwrap();
    registry.heard(a, at(0));
    registry.lose(a, at(10));
    let early = registry.insert(name("a"), [9; 16], path(2), &[], at(39));
    assert_eq!(early, Err(Unavailable::NameHeld(SECOND)));
    assert!(registry.insert(name("a"), [9; 16], path(2), &[], at(40)).is_ok());
}

#[test]
fn no_name_is_held_for_a_token_that_was_never_received() {
    let mut registry = registry();
    let now = Timestamp::ZERO;
    let join = |registry: &mut Registry, token: u8, resume: &[u8]| {
        registry.insert(name("a"), [token; 16], path(1), resume, now)
    };
    let unheard = join(&mut registry, 7, &[]).unwrap();
    registry.lose(unheard, now);
    let other = join(&mut registry, 8, &[]).unwrap();
    registry.heard(other, now);
    registry.lose(other, now);
    // A peer that presents the token has it, even if it is never heard after that.
    let back = join(&mut registry, 9, &[8; 16]).unwrap();
    registry.lose(back, now);
    assert!(matches!(join(&mut registry, 9, &[]), Err(Unavailable::NameHeld(_))));
    assert!(join(&mut registry, 9, &[8; 16]).is_ok());
}
