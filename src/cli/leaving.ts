import { EXIT } from "./failure.js";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Does work that Ctrl-C ends in order: the signal is aborted, and the work comes to its end. A second one ends the program at once. */
export async function untilInterrupted<T>(work: (signal: AbortSignal, leave: () => void) => Promise<T>): Promise<T> {
  const leaving = new AbortController();
  const leave = (): void => {
    leaving.abort();
  };
  const onSignal = (): void => {
    if (leaving.signal.aborted) process.exit(EXIT.interrupted);
    leave();
  };
  for (const name of SIGNALS) process.on(name, onSignal);
  try {
    return await work(leaving.signal, leave);
  } finally {
    for (const name of SIGNALS) process.off(name, onSignal);
  }
}
