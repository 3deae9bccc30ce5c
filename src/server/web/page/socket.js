// A WebSocket that comes back by itself, after pauses that grow.

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 8000;
/// The server sends something every second; after this silence the connection is dead.
const SILENCE = 6000;

export const address = (path) =>
  `${location.protocol.replace("http", "ws")}//${location.host}${path}`;

/// Keeps a connection open. `message` takes each text; `down` and `up` are called when the
/// connection ends, and when the next one works.
export function keepOpen(path, { message, up, down }) {
  let socket = null;
  let attempts = 0;
  let timer = null;
  let watch = null;

  const watchAgain = () => {
    clearTimeout(watch);
    watch = setTimeout(() => fail(socket), SILENCE);
  };

  function open() {
    clearTimeout(timer);
    timer = null;
    const mine = socket = new WebSocket(address(path));
    watchAgain();
    mine.onmessage = ({ data }) => {
      if (mine !== socket) return;
      watchAgain();
      if (attempts) up();
      attempts = 0;
      message(JSON.parse(data));
    };
    mine.onclose = () => fail(mine);
  }

  function fail(mine) {
    if (mine !== socket || !socket) return;
    socket = null;
    clearTimeout(watch);
    mine.close();
    const pause = Math.min(FIRST_PAUSE * 2 ** attempts, LONGEST_PAUSE);
    attempts += 1;
    const wait = pause * (0.75 + Math.random() / 4);
    timer = setTimeout(open, wait);
    down();
  }

  const hurry = () => {
    if (timer !== null && document.visibilityState === "visible") open();
  };
  addEventListener("online", hurry);
  document.addEventListener("visibilitychange", hurry);
  open();
  return (value) => {
    if (socket?.readyState !== WebSocket.OPEN) return false;
    socket.send(JSON.stringify(value));
    return true;
  };
}
