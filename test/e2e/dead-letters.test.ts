import { status as Code } from "@grpc/grpc-js";
import { expect } from "chai";
import { ListDeadLettersRequest } from "../../generated/tidemark/v1/admin_service.js";
import type { ListDeadLettersResponse } from "../../generated/tidemark/v1/admin_service.js";
import { DeadLetterFilter, DeadLetterReason } from "../../generated/tidemark/v1/dead_letter.js";
import { damageDeadLetter } from "../support/damage.js";
import { refusal } from "../support/raw-calls.js";
import { StoredServer } from "../support/stored-server.js";
import { answer, payload } from "../support/stubs.js";

describe("ListDeadLetters of a server process", function () {
  // Each test starts processes, which on a busy machine take their time.
  this.timeout(60_000);
  let server: StoredServer;

  beforeEach(async () => {
    server = await StoredServer.start();
  });

  afterEach(async () => {
    await server.remove();
  });

  const list = (parts: Partial<ListDeadLettersRequest> = {}): Promise<ListDeadLettersResponse> =>
    answer((callback) => server.stubs.admin.listDeadLetters({ ...ListDeadLettersRequest.create(), queue: "orders", subscriber: "billing", ...parts }, callback));
  const filtered = async (filter: Partial<DeadLetterFilter>): Promise<bigint[]> => offsets(await list({ filter: { ...DeadLetterFilter.create(), ...filter } }));
  const offsets = ({ deadLetters }: ListDeadLettersResponse): bigint[] => deadLetters.map(({ message }) => message?.offset ?? 0n);

  /** Publishes these messages and has `billing` reject all of them. */
  async function reject(messages: readonly (readonly [event: string, body: Buffer])[], reason = "no such customer"): Promise<void> {
    await server.stubs.publishBatch("orders", messages.map(([event, value]) => ({ event, body: { $case: "payload", value }, headers: { source: "shop" } })));
    const stream = server.stubs.subscribe({ queue: "orders", subscriber: "billing", clientId: "worker-1" });
    const received = await stream.receive(messages.length);
    await stream.settle({ rejects: received.map(({ offset, batchId }) => ({ range: { first: offset, last: offset, batchId }, reason })) });
    await stream.cancel();
  }

  const TEXTS = ["a", "b", "a"].map((event, i) => [event, Buffer.from(`text ${i + 1}`)] as const);

  it("has all of a letter: the message as it was, why, by whom and when, before a restart and after", async () => {
    const before = Date.now();
    await reject([["order.created", Buffer.from("grüße")]]);
    const page = await list();
    const [letter] = page.deadLetters;
    expect(letter).to.deep.include({ queue: "orders", subscriber: "billing", reason: DeadLetterReason.REJECTED, detail: "no such customer", attempts: 1, deliveries: 1, holderClientId: "worker-1", payloadBytes: 7n });
    expect(letter?.message).to.deep.include({ offset: 1n, event: "order.created", payload: Buffer.from("grüße"), text: "", headers: { source: "shop" } });
    expect(letter?.holderSessionId).to.match(/^[0-9a-f]+$/);
    expect(Number(letter?.deadLetterTime?.seconds)).to.be.within(Math.floor(before / 1_000), Date.now() / 1_000);
    await server.restart();
    expect(await list()).to.deep.equal(page);
  });

  it("tells a message that was retried too often from one that was rejected", async () => {
    await reject([["a", Buffer.from("1")]]);
    await server.stubs.publish("orders", { event: "b", body: payload("2") });
    const stream = server.stubs.subscribe({ queue: "orders", subscriber: "billing" });
    for (let attempt = 1; attempt <= 10; attempt++) {
      const [delivery] = await stream.receive(1);
      if (delivery === undefined) throw new Error("no delivery");
      await stream.settle({ retries: [{ range: { first: delivery.offset, last: 0n, batchId: delivery.batchId }, delay: { seconds: 0n, nanos: 0 }, reason: `try ${attempt}` }] });
    }
    await stream.cancel();
    const { deadLetters } = await list();
    expect(deadLetters.map(({ reason, attempts, detail }) => [reason, attempts, detail])).to.deep.equal([
      [DeadLetterReason.REJECTED, 1, "no such customer"],
      [DeadLetterReason.MAX_ATTEMPTS, 10, "try 10"],
    ]);
    expect(await filtered({ reasons: [DeadLetterReason.MAX_ATTEMPTS] })).to.deep.equal([2n]);
    expect(await filtered({ reasons: [DeadLetterReason.EXPIRED, DeadLetterReason.MAX_DELIVERIES] })).to.deep.equal([]);
  });

  it("takes offsets, events and times, all of which must apply", async () => {
    await reject(TEXTS);
    expect(await filtered({ events: ["a"] })).to.deep.equal([1n, 3n]);
    expect(await filtered({ offsets: [{ first: 3n, last: 2n ** 64n - 1n }, { first: 2n, last: 0n }] })).to.deep.equal([2n, 3n]);
    expect(await filtered({ offsets: [{ first: 2n, last: 3n }], events: ["a"] })).to.deep.equal([3n]);
    const soon = { seconds: BigInt(Math.ceil(Date.now() / 1_000) + 60), nanos: 0 };
    expect(await filtered({ afterTime: soon })).to.deep.equal([]);
    expect(await filtered({ beforeTime: soon })).to.deep.equal([1n, 2n, 3n]);
  });

  it("shows text as text, and leaves payloads out but not their size", async () => {
    await reject([["a", Buffer.from("grüße")], ["a", Buffer.from([0xff])]]);
    const shown = (await list({ textView: true })).deadLetters;
    expect(shown.map(({ message, payloadBytes }) => [message?.text, message?.payload.length, payloadBytes])).to.deep.equal([["grüße", 0, 7n], ["", 1, 1n]]);
    const omitted = (await list({ omitPayload: true, textView: true })).deadLetters;
    expect(omitted.map(({ message, payloadBytes }) => [message?.text, message?.payload.length, payloadBytes])).to.deep.equal([["", 0, 7n], ["", 0, 1n]]);
  });

  it("comes in pages, whose tokens belong to one filter of one subscriber", async () => {
    await reject(TEXTS);
    const first = await list({ pageSize: 2 });
    expect(offsets(first)).to.deep.equal([1n, 2n]);
    const second = await list({ pageSize: 2, pageToken: first.nextPageToken });
    expect([offsets(second), second.nextPageToken]).to.deep.equal([[3n], ""]);
    const stream = server.stubs.subscribe({ queue: "orders", subscriber: "other" });
    await stream.next("opened");
    await stream.cancel();
    for (const foreign of [{ subscriber: "other" }, { filter: { ...DeadLetterFilter.create(), events: ["a"] } }]) {
      const end = await refusal(list({ ...foreign, pageToken: first.nextPageToken }));
      expect(end, end.details).to.include({ code: Code.INVALID_ARGUMENT, reason: "INVALID_FIELD" }).and.have.nested.property("metadata.field", "page_token");
    }
    const bent = Buffer.from(Buffer.from(first.nextPageToken, "base64url").toString().replace(/\d+$/, "-1")).toString("base64url");
    expect(await refusal(list({ pageToken: bent }))).to.have.nested.property("metadata.field", "page_token");
  });

  it("ends a page early where letters are large, and still answers all of them", async () => {
    for (let i = 0; i < 5; i++) await reject([["a", Buffer.alloc(900_000)]]);
    const found: bigint[] = [];
    let pages = 0;
    for (let pageToken = ""; ; pages++) {
      const page = await list({ pageToken });
      found.push(...offsets(page));
      if (page.nextPageToken === "") break;
      pageToken = page.nextPageToken;
    }
    expect([found, pages + 1]).to.deep.equal([[1n, 2n, 3n, 4n, 5n], 2]);
    expect((await list({ omitPayload: true })).deadLetters).to.have.length(5);
  });

  it("names a letter that the disk has lost, and answers those around it", async () => {
    await reject(TEXTS);
    const { queueId } = await server.stubs.queue("orders");
    await server.restart(() => damageDeadLetter(server.path, queueId, "billing", 2));
    const page = await list();
    expect(offsets(page)).to.deep.equal([1n]);
    const lost = await refusal(list({ pageToken: page.nextPageToken }));
    expect(lost, lost.details).to.deep.include({ code: Code.DATA_LOSS, reason: "CHUNK_CORRUPT", metadata: { queue: "orders", subscriber: "billing", first: "2", last: "2" } });
    expect(await filtered({ offsets: [{ first: 3n, last: 9n }] })).to.deep.equal([3n]);
  });

  it("is not there for a subscriber or a queue that is not there", async () => {
    await server.stubs.publish("orders", { event: "a" });
    expect(await refusal(list())).to.include({ code: Code.NOT_FOUND, reason: "SUBSCRIBER_NOT_FOUND" });
    expect(await refusal(list({ queue: "nowhere" }))).to.include({ code: Code.NOT_FOUND, reason: "QUEUE_NOT_FOUND" });
  });
});
