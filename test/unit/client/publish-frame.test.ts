import { expect } from "chai";
import { type MessageOutcome, type PublishResult, PublishStreamRequest } from "../../../generated/tidemark/v1/publish.js";
import { FrameQueue } from "../../../src/client/frame-queue.js";
import { MessageEncoder } from "../../../src/client/message-encoder.js";
import { type OutgoingMessage, wireMessage } from "../../../src/client/outgoing-message.js";
import { FRAME_BYTES_MAX, FRAME_MESSAGES_MAX, PublishFrame, type Published } from "../../../src/client/publish-frame.js";
import { outcomeUnknown, TidemarkError } from "../../../src/client/tidemark-error.js";

function result(fields: Partial<PublishResult>): PublishResult {
  return {
    requestId: 1n,
    firstOffset: 0n,
    duplicate: false,
    code: 0,
    reason: "",
    detail: "",
    retryAfter: undefined,
    publishTime: undefined,
    unmatchedCount: 0,
    outcomes: [],
    ...fields,
  };
}

function outcome(fields: Partial<MessageOutcome>): MessageOutcome {
  return { index: 0, offset: 0n, duplicate: false, code: 0, reason: "", detail: "", ...fields };
}

function taken(message: OutgoingMessage): MessageEncoder {
  const encoder = new MessageEncoder();
  encoder.take(message);
  return encoder;
}

function decoded(frame: PublishFrame | undefined, requestId = 1): PublishStreamRequest {
  return PublishStreamRequest.decode(frame?.encoded(requestId) ?? Buffer.alloc(0));
}

/** A frame of messages with these ids, and what each caller hears, in words. */
function frameOf(messageIds: readonly string[]): { frame: PublishFrame; heard: string[] } {
  const frame = new PublishFrame("orders", 0);
  const heard: string[] = messageIds.map(() => "nothing");
  messageIds.forEach((messageId, i) => {
    frame.add(
      taken({ event: "order.created", messageId }),
      (published: Published) => (heard[i] = `${published.offset}${published.duplicate ? " duplicate" : ""} ${published.matched}`),
      (error) => (heard[i] = error.reason),
    );
  });
  return { frame, heard };
}

describe("publish frame", () => {
  it("gives consecutive offsets to its messages", () => {
    const { frame, heard } = frameOf(["", "", ""]);
    frame.answer(result({ firstOffset: 41n }));
    expect(heard).to.deep.equal(["41 true", "42 true", "43 true"]);
  });

  it("counts only stored messages between those that were duplicates or failed", () => {
    const { frame, heard } = frameOf(["a", "b", "c", "d", "e"]);
    const outcomes = [outcome({ index: 1, offset: 7n, duplicate: true }), outcome({ index: 3, code: 3, reason: "MESSAGE_TOO_LARGE" })];
    frame.answer(result({ firstOffset: 50n, outcomes }));
    expect(heard).to.deep.equal(["50 true", "7 duplicate true", "51 true", "MESSAGE_TOO_LARGE", "52 true"]);
  });

  it("tells everybody of a failed frame, with code, reason and delay", () => {
    const errors: TidemarkError[] = [];
    const frame = new PublishFrame("orders", 0);
    const ignore = (): void => undefined;
    for (let i = 0; i < 2; i++) frame.add(taken({ event: "e" }), ignore, (error) => errors.push(error));
    frame.answer(result({ code: 14, reason: "DISK_FULL", detail: "full", retryAfter: { seconds: 3n, nanos: 0 } }));
    expect(errors).to.have.length(2);
    expect(errors[1]).to.include({ code: "UNAVAILABLE", reason: "DISK_FULL", message: "full", retryAfterMs: 3_000 });
  });

  it("says whether anybody takes the event, as far as the count tells", () => {
    for (const [unmatchedCount, words] of [
      [0, "true"],
      [1, "undefined"],
      [2, "false"],
    ] as const) {
      const { frame, heard } = frameOf(["", ""]);
      frame.answer(result({ firstOffset: 1n, unmatchedCount }));
      expect(heard).to.deep.equal([`1 ${words}`, `2 ${words}`]);
    }
  });

  it("sends again after a break what has a message id, and fails the rest as unknown", () => {
    const { frame, heard } = frameOf(["a", "", "c"]);
    const again = frame.afterBreak(outcomeUnknown(new TidemarkError("UNAVAILABLE", "", "reset")));
    expect(heard).to.deep.equal(["nothing", "OUTCOME_UNKNOWN", "nothing"]);
    expect(decoded(again).messages.map((message) => message.messageId)).to.deep.equal(["a", "c"]);
    again?.answer(result({ firstOffset: 9n }));
    expect(heard).to.deep.equal(["9 true", "OUTCOME_UNKNOWN", "10 true"]);
  });

  it("has nothing to send again when no message has an id", () => {
    expect(frameOf(["", ""]).frame.afterBreak(outcomeUnknown(new TidemarkError("UNAVAILABLE", "", "reset")))).to.equal(undefined);
  });
});

describe("frame queue", () => {
  const add = (frames: FrameQueue, queue: string, payload = ""): void =>
    frames.add(queue, taken({ event: "e", payload }), () => undefined, () => undefined);

  it("gathers messages for one queue in one frame, whatever comes between", () => {
    const frames = new FrameQueue();
    for (const queue of ["a", "b", "a", "b", "a"]) add(frames, queue);
    const sent = [frames.shift(), frames.shift(), frames.shift()];
    expect(sent.map((frame) => frame && [frame.queue, frame.count])).to.deep.equal([["a", 3], ["b", 2], undefined]);
  });

  it("starts another frame when one has its full number of messages or bytes", () => {
    const frames = new FrameQueue();
    for (let i = 0; i < FRAME_MESSAGES_MAX + 1; i++) add(frames, "many");
    add(frames, "large", "x".repeat(FRAME_BYTES_MAX - 1_000));
    add(frames, "large", "x".repeat(1_000));
    const lengths = [];
    for (let frame = frames.shift(); frame !== undefined; frame = frames.shift()) lengths.push([frame.queue, frame.count]);
    expect(lengths).to.deep.equal([["many", FRAME_MESSAGES_MAX], ["many", 1], ["large", 1], ["large", 1]]);
  });

  it("adds nothing to a frame that was taken out", () => {
    const frames = new FrameQueue();
    add(frames, "a");
    const first = frames.shift();
    add(frames, "a");
    expect(first?.count).to.equal(1);
    expect(frames.shift()?.count).to.equal(1);
    expect(frames.bytes).to.equal(0);
  });

  it("puts frames back in front, in their order", () => {
    const frames = new FrameQueue();
    for (const queue of ["a", "b", "c"]) add(frames, queue);
    const [a, b] = [frames.shift(), frames.shift()];
    frames.putBack([a!, b!]);
    expect([frames.shift()?.queue, frames.shift()?.queue, frames.shift()?.queue]).to.deep.equal(["a", "b", "c"]);
  });

  it("hands out what has waited too long", () => {
    let nowMs = 10;
    const frames = new FrameQueue(() => nowMs);
    add(frames, "old");
    nowMs = 20;
    add(frames, "new");
    expect(frames.takeOlderThan(15).map((frame) => frame.queue)).to.deep.equal(["old"]);
    expect(frames.shift()?.queue).to.equal("new");
  });
});

describe("message encoder", () => {
  it("writes what the generated code reads as the same message", () => {
    const messages: OutgoingMessage[] = [
      { event: "e" },
      { event: "order.created", payload: "text", messageId: "m-1", orderingKey: "k-1" },
      { event: "order.created", payload: "é\u{1F600}", messageId: "ü", orderingKey: "日本" },
      { event: "x".repeat(200), payload: Buffer.alloc(20_000, 7), headers: { trace: "1", "": "", long: "v".repeat(300), "ключ": "значение" } },
      { event: "", payload: new Uint8Array([1, 2, 3]).subarray(1), headers: {} },
      { event: "broken \ud800", messageId: "i".repeat(127), orderingKey: "o".repeat(128) },
    ];
    const frame = new PublishFrame("orders", 0);
    for (const message of messages) frame.add(taken(message), () => undefined, () => undefined);
    const generated = PublishStreamRequest.encode({
      requestId: 7n,
      queue: "orders",
      messages: messages.map((message) => wireMessage("orders", message)),
      resume: false,
      haltOnFailure: false,
      independent: true,
    }).finish();
    const expected = PublishStreamRequest.decode(generated);
    // An empty payload is left out.
    for (const message of expected.messages) if (message.body?.value.length === 0) message.body = undefined;
    expect(decoded(frame, 7)).to.deep.equal(expected);
  });

  it("carries any request id", () => {
    for (const requestId of [1, 127, 128, 300, 2 ** 31, 2 ** 32 + 5, Number.MAX_SAFE_INTEGER]) {
      const frame = new PublishFrame("orders", 0);
      frame.add(taken({ event: "e" }), () => undefined, () => undefined);
      expect(decoded(frame, requestId).requestId).to.equal(BigInt(requestId));
    }
  });

  it("keeps nothing of the message before", () => {
    const encoder = taken({ event: "first", payload: "p", headers: { a: "b" }, messageId: "m", orderingKey: "k" });
    encoder.take({ event: "second" });
    const frame = new PublishFrame("orders", 0);
    frame.add(encoder, () => undefined, () => undefined);
    expect(decoded(frame).messages).to.deep.equal([wireMessage("orders", { event: "second" })].map((message) => ({ ...message, body: undefined })));
  });

  it("refuses values that would break the stream under other messages", () => {
    const wrong = [
      { event: 7 },
      { event: "e", payload: { a: 1 } },
      { event: "e", headers: { n: 1 } },
      { event: "e", messageId: 12n },
    ] as unknown as OutgoingMessage[];
    for (const message of wrong) {
      expect(() => taken(message)).to.throw(TidemarkError).with.property("reason", "INVALID_FIELD");
      expect(() => wireMessage("orders", message)).to.throw(TidemarkError).with.property("reason", "INVALID_FIELD");
    }
  });

  it("sends text as its UTF-8 bytes, and bytes as they are", () => {
    expect(wireMessage("q", { event: "e", payload: "é" }).body?.value).to.deep.equal(Buffer.from([0xc3, 0xa9]));
    expect(wireMessage("q", { event: "e", payload: new Uint8Array([1, 2, 3]).subarray(1) }).body?.value).to.deep.equal(Buffer.from([2, 3]));
  });
});
