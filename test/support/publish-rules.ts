import type { HistoryIndex, MessageHistory } from "./history-index.js";
import { filterTakes } from "./history-index.js";
import type { Violation } from "./history-checker.js";

/** I1, I2, I6 and I8: what becomes of the things published. */
export function checkPublishes(index: HistoryIndex): Violation[] {
  return [...checkReach(index), ...checkPhantoms(index), ...checkOffsets(index), ...checkStoredOnce(index)];
}

function* checkReach(index: HistoryIndex): Generator<Violation> {
  for (const message of index.messages.values()) {
    if (message.answers.length === 0) continue;
    for (const subscriber of index.subscribers.values()) {
      const existed = subscriber.createdAt !== undefined && subscriber.createdAt < message.firstSentAt;
      if (!existed || !filterTakes(subscriber.events, message.event) || subscriber.receivedKeys.has(message.key)) continue;
      yield { invariant: "I1", text: `${message.key} was answered with offset ${message.answers[0]?.offset}, but never reached ${subscriber.name}` };
    }
  }
}

function* checkPhantoms(index: HistoryIndex): Generator<Violation> {
  for (const event of index.history) {
    if (event.type !== "delivered") continue;
    const message = index.messages.get(event.key);
    if (message === undefined) {
      yield { invariant: "I2", text: `${event.key} came at offset ${event.offset}, but nobody had sent it` };
    } else if (message.event !== event.event) {
      yield { invariant: "I2", text: `${event.key} was sent as ${message.event} and came as ${event.event}` };
    } else if (!filterTakes(index.subscriberOf(event.session).events, event.event)) {
      yield { invariant: "I2", text: `${event.key} with event ${event.event} came to ${index.subscriberOf(event.session).name}, whose filter does not take it` };
    }
  }
  for (const message of index.messages.values()) {
    if (message.refusals === message.sends && message.deliveredAt.size > 0) {
      yield { invariant: "I2", text: `${message.key} was refused, but came at offset ${[...message.deliveredAt].join(", ")}` };
    }
    if (message.messageId === "" && message.deliveredAt.size > message.sends) {
      yield { invariant: "I2", text: `${message.key} was sent ${message.sends} times and came at offsets ${[...message.deliveredAt].join(", ")}` };
    }
  }
}

function* checkOffsets(index: HistoryIndex): Generator<Violation> {
  for (const [offset, keys] of index.keysAt) {
    if (keys.size > 1) yield { invariant: "I6", text: `offset ${offset} stands for ${[...keys].join(" and ")}` };
  }
  let highest = 0;
  const highestWhenSent = new Map<string, number>();
  for (const event of index.history) {
    if (event.type === "publish_sent" && !highestWhenSent.has(event.key)) highestWhenSent.set(event.key, highest);
    if (event.type !== "publish_answered") continue;
    const before = highestWhenSent.get(event.key) ?? 0;
    if (event.offset <= before) {
      yield { invariant: "I6", text: `${event.key} was sent after offset ${before} had been given out, and got offset ${event.offset}` };
    }
    highest = Math.max(highest, event.offset);
  }
}

function* checkStoredOnce(index: HistoryIndex): Generator<Violation> {
  for (const message of index.messages.values()) {
    if (message.messageId === "") {
      yield* checkOwnOffset(message);
      continue;
    }
    const places = new Set([...message.deliveredAt, ...message.answers.map((answer) => answer.offset)]);
    if (places.size > 1) {
      yield { invariant: "I8", text: `${message.key} with message id ${message.messageId} has the offsets ${[...places].join(", ")}` };
    }
    const again = message.answers.slice(1).find((answer) => !answer.duplicate);
    if (again !== undefined) {
      yield { invariant: "I8", text: `${message.key} with message id ${message.messageId} was taken for new a second time, at offset ${again.offset}` };
    }
  }
}

/** Without an id there is no dedup, but what an answer named is where the message lies. */
function* checkOwnOffset(message: MessageHistory): Generator<Violation> {
  if (message.sends > 1) return;
  for (const answer of message.answers) {
    if (message.deliveredAt.size === 0 || message.deliveredAt.has(answer.offset)) continue;
    yield { invariant: "I6", text: `${message.key} was answered with offset ${answer.offset} and came at ${[...message.deliveredAt].join(", ")}` };
  }
}
