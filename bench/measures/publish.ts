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

/** Publishes as fast as there is room until the time is over; resolves with the number of answers when all have come. */
export async function publishFor(topic: Topic, payload: Buffer, ms: number): Promise<number> {
  const started = performance.now();
  return publishWhile(topic, payload, () => performance.now() - started < ms);
}

/** Messages between two looks at the room: short enough to stay near the bound. */
const BURST = 100;

/** The same, as long as `goesOn` says so. */
export async function publishWhile(topic: Topic, payload: Buffer, goesOn: () => boolean): Promise<number> {
  let failure: unknown;
  let sent = 0;
  let answered = 0;
  let allAnswered: (() => void) | undefined;
  const onAnswer = (): void => {
    answered++;
    if (answered === sent) allAnswered?.();
  };
  const onFailure = (error: unknown): void => {
    failure ??= error;
    onAnswer();
  };
  while (goesOn() && failure === undefined) {
    for (let i = 0; i < BURST; i++) {
      sent++;
      topic.publish(payload).then(onAnswer, onFailure);
    }
    await topic.ready();
    // Answers come in through the event loop, which a producer that never waits would starve.
    await new Promise((resolve) => setImmediate(resolve));
  }
  if (answered < sent) await new Promise<void>((resolve) => (allAnswered = resolve));
  if (failure !== undefined) throw asError(failure);
  return sent;
}
