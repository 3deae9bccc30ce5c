// In place of the server's board: peers and lines of the last minute, made up. It runs before the
// page's own scripts, as a function of the number of peers and of whether they are hostile.

(count, isHostile) => {
  const HOSTILE = ["<img src=x onerror=hacked=1>", "שלום\u202eעולם", "W".repeat(32), "ẹ̄̃lí̱n",
    "مرحبا_بالعالم", "\"><script>hacked=1</script>", "javascript:hacked=1"];
  const NAMES = ["alice", "Боб", "小明", "daria", "phone-3", "quinn", "ingrid"];
  const MODES = [["udp", "reliable-ordered"], ["udp", "unreliable"], ["tcp", "reliable-ordered"],
    ["udp", "reliable-unordered"], ["web", "reliable-ordered"], ["quic", "reliable-ordered"],
    ["udp", "unreliable"]];
  const evil = isHostile ? "<b>x</b><img src=x onerror=hacked=1>" : "";
  const now = Date.now();

  function state(age) {
    const peers = Array.from({ length: count }, (_, at) => {
      const [transport, delivery] = MODES[at % 7];
      const name = (isHostile ? HOSTILE : NAMES)[at % 7] + (at < 7 ? "" : `-${at}`);
      const passed = 60 - age;
      const isStream = transport === "tcp" || transport === "web";
      return { peer: at, name, transport, delivery, congestion: isStream ? `cubic${evil}` : null,
        rtt_ms: at === 4 ? null : 50 + 9 * (at % 5) + (isStream ? 60 * (passed % 7 === 0) : 0),
        up: isStream ? null : { received: 10 * passed + 1, missing: passed },
        down: transport === "web" ? null : { sent: 10 * passed + 1, lost: passed },
        queued: isStream ? passed % 4 : 0, silent_ms: at === 6 ? 7000 : 100, lines: passed };
    });
    const network = { up: `loss 10%, delay 25ms${evil}`, down: `loss 10%, delay 25ms${evil}` };
    return { type: "state", at_us: (now - age * 1000) * 1000, peers,
      drops: { corrupt: 12, [`other${evil}`]: 1 }, topic: isHostile ? evil : "Why TCP waits",
      impair: { everybody: network, peers: { 1: network } }, locked: true };
  }

  /// A line every 100 ms. One in ten is lost, and a reader in order waits 300 ms for it.
  function lines(from, to) {
    const message = { type: "lines", said: [], shown: [], lost: [], again: [] };
    for (let at = Math.ceil(from / 100); at < to / 100; at += 1) {
      const position = at;
      const said = 100 * at;
      message.said.push({ position, at_us: said * 1000, peer: 0, name: "alice", text: evil });
      for (let peer = 1; peer < Math.min(count, 7); peer += 1) {
        const [transport, delivery] = MODES[peer];
        const isLost = (at + peer) % 10 === 0;
        const behind = (at + peer) % 10;
        const waits = transport !== "udp" && behind < 4 ? 300 - 100 * behind + 5 : 0;
        const again = isLost && delivery === "reliable-unordered" ? 90 : 0;
        if (again) message.again.push({ position, peer, after_ms: 60 });
        if (isLost && delivery === "unreliable") message.lost.push({ position, peer });
        else message.shown.push({ position, peer, after_ms: 45 + again + waits,
          sends: again ? 2 : 1, certain: true });
      }
    }
    return message;
  }

  window.WebSocket = class {
    static OPEN = 1;

    constructor(url) {
      this.readyState = 1;
      if (!url.endsWith("/board")) return;
      const tell = (message) => this.onmessage({ data: JSON.stringify(message) });
      setTimeout(() => {
        tell({ type: "hello", room: evil || "the room", version: "0.1.0", chat: true,
          join: [`chatagram client 192.168.1.5${evil}`], page: `http://192.168.1.5:2431/${evil}`,
          private: false, heartbeat_ms: 2000, clock_us: now * 1000 });
        for (let age = 60; age >= 0; age -= 1) tell(state(age));
        let told = now - 9000;
        setInterval(() => {
          const present = Date.now();
          tell(lines(told, present));
          told = present;
        }, 100);
        setInterval(() => tell({ ...state(0), at_us: Date.now() * 1000 }), 1000);
      });
    }

    send() {}

    close() {}
  };
}
