import type { Contestant, Topic } from "../contestants/contestant.js";
import { asError, cellOf, type Cell, type Figures, rate } from "./measure.js";

/** A queue that lives as long as the bench: publishing does not depend on what is in it, which "growth" shows. */
export function topicOnce(contestant: Contestant, name: string): () => Promise<Topic> {
  let made: Promise<Topic> | undefined;
  return () => {
    made ??= contestant.topic(name).then(async (topic) => {
      await topic.register("nobody");
      return topic;
    });
    return made;
  };
}

/** `callers` that each wait for one answer before the next message. */
export function publishCell(contestant: Contestant, callers: number, payload: Buffer): Cell {
  const topic = topicOnce(contestant, `publish-${callers}-${payload.length}`);
  return cellOf(contestant, async (ms) => callersCell(await topic(), callers, payload, ms));
}

async function callersCell(topic: Topic, callers: number, payload: Buffer, ms: number): Promise<Figures> {
  const started = performance.now();
  let done = 0;
  const caller = async (): Promise<void> => {
    while (performance.now() - started < ms) {
      await topic.publish(payload);
      done++;
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  return rate(done, started);
}

/** One producer that never waits for an answer, only for room; every answer counts. */
export function pipelinedCell(contestant: Contestant, payload: Buffer): Cell {
  const topic = topicOnce(contestant, `pipelined-${payload.length}`);
  return cellOf(contestant, async (ms) => {
    const started = performance.now();
    const done = await publishFor(await topic(), payload, ms);
    return rate(done, started);
  });
}

/** What may be unanswered, the same for everybody: enough to keep a broker busy, and what the tightest of them takes at once. */
const UNANSWERED_MAX = 10_000;
const UNANSWERED_BYTES_MAX = 8 * 1024 * 1024;
/** Messages in one turn of the event loop. */
const BURST = 100;

/** Publishes as fast as there is room until the time is over; resolves with the number of answers when all have come. */
export async function publishFor(topic: Topic, payload: Buffer, ms: number): Promise<number> {
  const until = performance.now() + ms;
  return publishWhile(topic, payload, () => performance.now() < until);
}

/** The same, as long as `goesOn` says so of the number that was sent. */
export async function publishWhile(topic: Topic, payload: Buffer, goesOn: (sent: number) => boolean | Promise<boolean>): Promise<number> {
  const window = Math.max(1, Math.min(UNANSWERED_MAX, Math.floor(UNANSWERED_BYTES_MAX / payload.length)));
  const burst = Math.min(BURST, window);
  let failure: unknown;
  let sent = 0;
  let answered = 0;
  let wake: (() => void) | undefined;
  const onAnswer = (): void => {
    answered++;
    wake?.();
  };
  const onFailure = (error: unknown): void => {
    failure ??= error;
    onAnswer();
  };
  /** Waits until no more than so many are unanswered. */
  const unanswered = async (most: number): Promise<void> => {
    while (sent - answered > most) await new Promise<void>((resolve) => (wake = resolve));
  };
  while (failure === undefined && (await goesOn(sent))) {
    for (let i = 0; i < burst; i++) {
      sent++;
      topic.publish(payload).then(onAnswer, onFailure);
    }
    await unanswered(window - burst);
    // Answers come in through the event loop, which a producer that never waits would starve.
    await new Promise((resolve) => setImmediate(resolve));
  }
  await unanswered(0);
  if (failure !== undefined) throw asError(failure);
  return sent;
}
