import { status as Code } from "@grpc/grpc-js";
import { expect } from "chai";
import { BrokerServiceService } from "../../generated/tidemark/v1/broker_service.js";
import { PullRequest, SettleRequest } from "../../generated/tidemark/v1/pull.js";
import { Settlement } from "../../generated/tidemark/v1/subscribe.js";
import type { DeliveryRange } from "../../generated/tidemark/v1/subscribe.js";
import { rawUnary } from "../support/raw-calls.js";
import type { CallEnd } from "../support/raw-calls.js";
import { startTestServer } from "../support/server.js";
import type { TestServer } from "../support/server.js";
import type { Stubs } from "../support/stubs.js";

type Expected = Partial<CallEnd> & { readonly field?: string };
type Case = readonly [title: string, input: Buffer, expected: Expected];

const GARBAGE = Buffer.from([0xff, 0xff, 0xff, 0xff]);
const UNDECODABLE: Expected = { code: Code.INVALID_ARGUMENT, reason: "UNDECODABLE" };
const INVALID = (field: string): Expected => ({ code: Code.INVALID_ARGUMENT, reason: "INVALID_FIELD", field });

const pullBytes = (parts: Partial<PullRequest> = {}): Buffer => Buffer.from(PullRequest.encode({ ...PullRequest.create(), queue: "bad", subscriber: "bad", ...parts }).finish());
const settleBytes = (parts: Partial<SettleRequest>): Buffer => Buffer.from(SettleRequest.encode({ sessionId: "nobody", settle: Settlement.create(), ...parts }).finish());
const NO_SESSION: Expected = { code: Code.NOT_FOUND, reason: "SESSION_NOT_FOUND", metadata: { session_id: "nobody" } };

const PULLS: readonly Case[] = [
  ["bytes that are no protobuf", GARBAGE, UNDECODABLE],
  ["no queue", pullBytes({ queue: "" }), INVALID("queue")],
  ["a queue with a slash", pullBytes({ queue: "a/b" }), INVALID("queue")],
  ["no subscriber", pullBytes({ subscriber: "" }), INVALID("subscriber")],
  ["a subscriber that starts with a dot", pullBytes({ subscriber: ".x" }), INVALID("subscriber")],
  ["a filter with ** in the middle", pullBytes({ events: ["a.**.b"] }), INVALID("events[0]")],
  ["65 filters", pullBytes({ events: Array<string>(65).fill("a") }), INVALID("events")],
  ["a wait of more than a minute", pullBytes({ wait: { seconds: 61n, nanos: 0 } }), INVALID("wait")],
  ["a wait backwards", pullBytes({ wait: { seconds: -1n, nanos: 0 } }), INVALID("wait")],
  ["an ack_timeout below 100 ms", pullBytes({ ackTimeout: { seconds: 0n, nanos: 99_000_000 } }), INVALID("ack_timeout")],
  ["an ack_timeout above 12 h", pullBytes({ ackTimeout: { seconds: 43_201n, nanos: 0 } }), INVALID("ack_timeout")],
  ["a client_id with a space", pullBytes({ clientId: "a b" }), INVALID("client_id")],
  ["a session_id of 129 characters", pullBytes({ sessionId: "s".repeat(129) }), INVALID("session_id")],
  ["a session that is not there", pullBytes({ sessionId: "nobody" }), NO_SESSION],
];

const SETTLES: readonly Case[] = [
  ["bytes that are no protobuf", GARBAGE, UNDECODABLE],
  ["nothing at all", Buffer.alloc(0), INVALID("session_id")],
  ["no verdicts", settleBytes({ settle: undefined }), INVALID("settle")],
  ["a session_id of 129 characters", settleBytes({ sessionId: "s".repeat(129) }), INVALID("session_id")],
  ["more than 10,000 ranges", settleBytes({ settle: { ...Settlement.create(), acks: Array<DeliveryRange>(10_001).fill({ first: 1n, last: 0n, batchId: 0n }) } }), INVALID("settle")],
  ["a session that is not there", settleBytes({}), NO_SESSION],
];

describe("bad input", () => {
  let server: TestServer;
  let culprit: Stubs;
  let witness: Stubs;

  before(async () => {
    server = await startTestServer({ engine: "memory" });
    culprit = await server.connect();
    witness = await server.connect();
  });

  after(async () => {
    await server.close();
  });

  afterEach("the server goes on serving another client", async () => {
    await witness.publish("good", { event: "order.created" });
    const pulled = await witness.pull({ queue: "good", subscriber: "good" });
    const [message] = pulled.batches.flatMap(({ messages }) => messages);
    const { failures } = await witness.settle(pulled.opened?.sessionId ?? "", { acks: [{ first: message?.offset ?? 0n, last: 0n, batchId: 0n }] });
    expect(failures).to.deep.equal([]);
  });

  function check(end: CallEnd, { field, ...expected }: Expected): void {
    expect(end, end.details).to.deep.include(expected);
    if (field === undefined) return;
    expect(end.metadata).to.include({ field }).and.include.keys("value", "limit");
    expect(end.details).to.contain(field).and.contain(end.metadata["limit"]);
  }

  describe("Pull refuses", () => {
    for (const [title, bytes, expected] of PULLS) {
      it(title, async () => {
        check(await rawUnary(culprit.broker, BrokerServiceService.pull.path, bytes), expected);
      });
    }
  });

  describe("Settle refuses", () => {
    for (const [title, bytes, expected] of SETTLES) {
      it(title, async () => {
        check(await rawUnary(culprit.broker, BrokerServiceService.settle.path, bytes), expected);
      });
    }
  });
});
