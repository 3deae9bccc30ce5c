// What the browser keeps: for this tab, or for the next visit too. A browser may keep nothing.

const storage = (isForTab) => (isForTab ? sessionStorage : localStorage);

export function recall(isForTab, key) {
  try {
    return JSON.parse(storage(isForTab).getItem(key));
  } catch {
    return null;
  }
}

/// Keeps a value; null forgets it.
export function keep(isForTab, key, value) {
  try {
    if (value === null) storage(isForTab).removeItem(key);
    else storage(isForTab).setItem(key, JSON.stringify(value));
  } catch {
    // The page works as well, and begins anew next time.
  }
}
