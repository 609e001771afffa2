import { status as Code } from "@grpc/grpc-js";
import { expect } from "chai";
import { PeekMessagesRequest } from "../../generated/tidemark/v1/admin_service.js";
import type { PeekMessagesResponse } from "../../generated/tidemark/v1/admin_service.js";
import { AckMode } from "../../generated/tidemark/v1/subscribe.js";
import { until } from "../support/condition.js";
import { damageBody } from "../support/damage.js";
import { refusal } from "../support/raw-calls.js";
import { StoredServer } from "../support/stored-server.js";
import { answer, payload } from "../support/stubs.js";

const DEADLINE_MS = 15_000;
const MIB = 1024 * 1024;

describe("PeekMessages of a server process", function () {
  // Each test starts processes, which on a busy machine take their time.
  this.timeout(60_000);
  let server: StoredServer;

  beforeEach(async () => {
    server = await StoredServer.start();
  });

  afterEach(async () => {
    await server.remove();
  });

  const peek = (parts: Partial<PeekMessagesRequest> = {}): Promise<PeekMessagesResponse> =>
    answer((callback) => server.stubs.admin.peekMessages({ ...PeekMessagesRequest.create(), queue: "orders", ...parts }, callback));
  const offsets = ({ messages }: PeekMessagesResponse): bigint[] => messages.map(({ offset }) => offset);

  it("answers exactly what subscribers get, before a restart and after", async () => {
    await server.stubs.publish("orders", { event: "order.created", body: payload("grüße"), headers: { a: "1" }, messageId: "m", orderingKey: "k" });
    await server.stubs.publish("orders", { event: "order.paid", body: { $case: "payload", value: Buffer.from([0xff, 0x00]) } });
    const stream = server.stubs.subscribe({ queue: "orders", subscriber: "s" });
    const delivered = await stream.receive(2);
    await stream.cancel();
    const page = await peek();
    expect(page.messages).to.have.length(2);
    for (const [i, { offset, event, payload: bytes, headers }] of delivered.entries()) expect(page.messages[i]).to.deep.include({ offset, event, payload: bytes, headers });
    expect(page.messages[0]).to.include({ messageId: "m", orderingKey: "k", text: "" }).and.have.property("publishTime").that.is.an("object");
    expect(page).to.include({ nextOffset: 0n, firstOffset: 1n, headOffset: 2n });
    await server.restart();
    expect(await peek()).to.deep.equal(page);
  });

  it("shows text as text when asked, and other bytes as they are", async () => {
    await server.stubs.publishBatch("orders", [{ event: "a", body: payload("grüße") }, { event: "a", body: { $case: "payload", value: Buffer.from([0xff, 0x00]) } }]);
    const { messages, headOffset } = await peek({ textView: true });
    expect(messages.map(({ text, payload: bytes }) => [text, bytes.length])).to.deep.equal([["grüße", 0], ["", 2]]);
    expect(headOffset).to.equal(2n);
  });

  it("takes a filter, a place to begin with, and bounds", async () => {
    const before = Date.now();
    await server.stubs.publishBatch("orders", ["a.x", "b", "a.y", "a.z"].map((event) => ({ event, body: payload("x".repeat(100)) })));
    expect(offsets(await peek({ events: ["a.*"] }))).to.deep.equal([1n, 3n, 4n]);
    expect(offsets(await peek({ events: ["a.*"], from: { $case: "fromOffset", value: 2n } }))).to.deep.equal([3n, 4n]);
    expect(offsets(await peek({ events: ["a.*"], from: { $case: "lastMessages", value: 2 } }))).to.deep.equal([3n, 4n]);
    expect(offsets(await peek({ from: { $case: "fromTime", value: { seconds: BigInt(Math.floor(before / 1_000)), nanos: 0 } } }))).to.have.length(4);
    expect(offsets(await peek({ from: { $case: "fromTime", value: { seconds: 253_402_300_799n, nanos: 0 } } }))).to.deep.equal([]);
    const page = await peek({ maxMessages: 2 });
    expect([offsets(page), page.nextOffset]).to.deep.equal([[1n, 2n], 3n]);
    expect(offsets(await peek({ maxBytes: 1n }))).to.deep.equal([1n]);
  });

  it("keeps an answer within what a gRPC client receives by default, whatever is asked for", async () => {
    for (let i = 0; i < 5; i++) await server.stubs.publish("orders", { event: "a", body: { $case: "payload", value: Buffer.alloc(MIB - 100) } });
    const page = await peek({ maxMessages: 4_000_000_000, maxBytes: 2n ** 64n - 1n });
    expect([offsets(page), page.nextOffset]).to.deep.equal([[1n, 2n, 3n], 4n]);
    expect(offsets(await peek())).to.deep.equal([1n]);
  });

  it("disturbs no subscriber, and goes on behind what is trimmed", async () => {
    await server.stubs.publishBatch("orders", Array.from({ length: 3 }, () => ({ event: "a" })));
    await server.stubs.publish("orders", { event: "b" });
    const stream = server.stubs.subscribe({ queue: "orders", subscriber: "s", events: ["a"], ackMode: AckMode.AUTO });
    await stream.receive(3);
    await stream.cancel();
    const before = await server.stubs.subscriber("orders", "s");
    await peek({ from: { $case: "fromOffset", value: 1n } });
    expect(await server.stubs.subscriber("orders", "s")).to.deep.equal(before);
    await until("the messages are trimmed", DEADLINE_MS, async () => (await server.stubs.queue("orders")).firstOffset > 3n);
    const page = await peek({ from: { $case: "fromOffset", value: 1n } });
    expect([offsets(page).filter((at) => at < 4n), page.firstOffset >= 4n, page.headOffset]).to.deep.equal([[], true, 4n]);
  });

  it("names what the disk has lost, and answers what lies around it", async () => {
    for (const event of ["a", "b", "a"]) await server.stubs.publish("orders", { event });
    const { queueId } = await server.stubs.queue("orders");
    await server.restart(() => damageBody(server.path, queueId, 2));
    const page = await peek();
    expect([offsets(page), page.nextOffset]).to.deep.equal([[1n], 2n]);
    const lost = await refusal(peek({ from: { $case: "fromOffset", value: 2n } }));
    expect(lost, lost.details).to.deep.include({ code: Code.DATA_LOSS, reason: "CHUNK_CORRUPT", metadata: { queue: "orders", first: "2", last: "2" } });
    expect(offsets(await peek({ from: { $case: "fromOffset", value: 3n } }))).to.deep.equal([3n]);
    expect(offsets(await peek({ events: ["a"] }))).to.deep.equal([1n, 3n]);
  });

  it("refuses an offset that is not there yet, with the range", async () => {
    await server.stubs.publish("orders", { event: "a" });
    const end = await refusal(peek({ from: { $case: "fromOffset", value: 3n } }));
    expect(end, end.details).to.deep.include({ code: Code.OUT_OF_RANGE, reason: "BEYOND_HEAD", metadata: { field: "from_offset", value: "3", limit: "1 to 2" } });
    expect(await refusal(peek({ queue: "nowhere" }))).to.include({ code: Code.NOT_FOUND, reason: "QUEUE_NOT_FOUND" });
  });
});
