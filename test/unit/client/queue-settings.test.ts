import type { ServerUnaryCall, sendUnaryData } from "@grpc/grpc-js";
import { expect } from "chai";
import type { CreateQueueRequest, CreateQueueResponse, GetSubscriberRequest, GetSubscriberResponse, UpdateQueueRequest, UpdateQueueResponse } from "../../../generated/tidemark/v1/admin_service.js";
import { Ordering, Queue, RetentionMode, WhenFull, type Retention } from "../../../generated/tidemark/v1/queue.js";
import { OnExpiry, OnPoison, SubscriberSettings } from "../../../generated/tidemark/v1/settings.js";
import { Subscriber } from "../../../generated/tidemark/v1/subscriber.js";
import { connect, type QueueChanges, type QueueSettings, type TidemarkClient } from "../../../src/client/index.js";
import { failureOf, ScriptedBroker } from "./scripted-broker.js";

const seconds = (count: number): { seconds: bigint; nanos: number } => ({ seconds: BigInt(count), nanos: 0 });

/** Every setting, on either side of the wire. */
const SETTINGS: Required<QueueSettings> = {
  ...{ ackTimeoutMs: 30_000, maxAttempts: 5, maxDeliveries: 7, onPoison: "BLOCK_LANE", backoffMinMs: 0, backoffMaxMs: 9_000, backoffFactor: 1.5 },
  ...{ maxUnsettled: 90, windowMessages: 8, windowBytes: 70_000, expireAfterMs: 0, onExpiry: "DEAD_LETTER", dedupWindowMs: 0, dedupIdsMax: 500 },
  ...{ retention: "LOG", maxAgeMs: 90_000, maxBytes: 4_000, maxMessages: 30, whenFull: "REJECT_NEW" },
};
const SUBSCRIBER_DEFAULTS: SubscriberSettings = {
  ...SubscriberSettings.create(),
  ...{ ackTimeout: seconds(30), maxAttempts: 5, maxDeliveries: 7, onPoison: OnPoison.BLOCK_LANE, backoff: { minDelay: seconds(0), maxDelay: seconds(9), factor: 1.5 } },
  ...{ maxUnsettled: 90, windowMessages: 8, windowBytes: 70_000n, expireAfter: seconds(0), onExpiry: OnExpiry.DEAD_LETTER },
};
const RETENTION: Retention = { mode: RetentionMode.LOG, maxAge: seconds(90), maxBytes: 4_000n, maxMessages: 30n, whenFull: WhenFull.REJECT_NEW };
const ON_THE_WIRE: Partial<Queue> = { retention: RETENTION, dedupWindow: seconds(0), dedupIdsMax: 500n, subscriberDefaults: SUBSCRIBER_DEFAULTS };

describe("the settings of a queue, in the client", () => {
  let broker: ScriptedBroker;
  let client: TidemarkClient;
  let created: Queue[];
  let updates: UpdateQueueRequest[];
  let answered: Partial<Queue>;
  let subscriber: Partial<Subscriber>;

  beforeEach(async () => {
    [created, updates, answered, subscriber] = [[], [], {}, {}];
    broker = new ScriptedBroker();
    broker.admin = {
      createQueue: ({ request }: ServerUnaryCall<CreateQueueRequest, CreateQueueResponse>, done: sendUnaryData<CreateQueueResponse>) => {
        created.push(request.queue ?? Queue.create());
        done(null, { queue: { ...Queue.create(), ...answered } });
      },
      updateQueue: ({ request }: ServerUnaryCall<UpdateQueueRequest, UpdateQueueResponse>, done: sendUnaryData<UpdateQueueResponse>) => {
        updates.push(request);
        done(null, { queue: { ...Queue.create(), ...answered } });
      },
      getSubscriber: (_call: ServerUnaryCall<GetSubscriberRequest, GetSubscriberResponse>, done: sendUnaryData<GetSubscriberResponse>) => {
        done(null, { subscriber: { ...Subscriber.create(), ...subscriber } });
      },
    };
    await broker.start();
    client = connect(broker.address);
  });

  afterEach(async () => {
    await client.close();
    broker.stop();
  });

  it("are said when it is made, each in its place", async () => {
    await client.admin.createQueue("orders", { ordered: true, ...SETTINGS });
    expect(created).to.deep.equal([{ ...Queue.create(), ...ON_THE_WIRE, name: "orders", ordering: Ordering.ORDERED }]);
  });

  it("make no claim where they are left out", async () => {
    await client.admin.createQueue("orders");
    await client.admin.createQueue("mails", { dedupIdsMax: 9 });
    await client.admin.createQueue("calls", { maxAttempts: 1 });
    expect(created[0]).to.deep.equal({ ...Queue.create(), name: "orders", ordering: Ordering.UNORDERED });
    expect(created[1]).to.deep.include({ dedupIdsMax: 9n, dedupWindow: undefined, subscriberDefaults: undefined });
    expect(created[2]).to.deep.include({ subscriberDefaults: { ...SubscriberSettings.create(), maxAttempts: 1 } });
  });

  it("are answered as they are set, and can be said again as they are", async () => {
    answered = ON_THE_WIRE;
    const { settings } = await client.admin.createQueue("orders");
    expect(settings).to.deep.equal(SETTINGS);
    await client.admin.createQueue("copy", settings);
    expect(created[1]).to.deep.include(ON_THE_WIRE);
    answered = {};
    expect((await client.admin.createQueue("orders")).settings).to.deep.equal({});
  });

  it("are changed one by one: the mask names what is, and nothing else", async () => {
    answered = { subscriberDefaults: { ...SubscriberSettings.create(), ackTimeout: seconds(30) } };
    expect((await client.admin.updateQueue("orders", { ackTimeoutMs: 30_000 }, "q7")).settings).to.deep.equal({ ackTimeoutMs: 30_000 });
    expect(updates).to.have.length(1);
    expect(updates[0]?.updateMask).to.deep.equal(["subscriber_defaults.ack_timeout"]);
    expect(updates[0]?.queue).to.deep.include({ name: "orders", queueId: "q7", subscriberDefaults: answered.subscriberDefaults });
  });

  it("go back to the server's by inherit, which is in the mask and has no value", async () => {
    await client.admin.updateQueue("orders", { maxAttempts: "inherit", backoffMinMs: "inherit", dedupWindowMs: "inherit", backoffMaxMs: 9_000 });
    expect(updates[0]?.updateMask).to.have.members(["subscriber_defaults.max_attempts", "subscriber_defaults.backoff.min_delay", "subscriber_defaults.backoff.max_delay", "dedup_window"]);
    const backoff = { minDelay: undefined, maxDelay: seconds(9), factor: 0 };
    expect(updates[0]?.queue).to.deep.include({ dedupWindow: undefined, subscriberDefaults: { ...SubscriberSettings.create(), backoff } });
  });

  it("have a path in the mask for each of them", async () => {
    await client.admin.updateQueue("orders", SETTINGS);
    expect(updates[0]?.queue).to.deep.include(ON_THE_WIRE);
    expect(updates[0]?.updateMask).to.have.members([
      ...["dedup_window", "dedup_ids_max", "retention.mode", "retention.max_age", "retention.max_bytes", "retention.max_messages", "retention.when_full"],
      ...["ack_timeout", "max_attempts", "max_deliveries", "on_poison", "max_unsettled", "window_messages", "window_bytes", "expire_after", "on_expiry"].map((name) => `subscriber_defaults.${name}`),
      ...["min_delay", "max_delay", "factor"].map((name) => `subscriber_defaults.backoff.${name}`),
    ]);
  });

  const refused: [QueueChanges, string][] = [
    [{ maxAttempts: 0 }, "maxAttempts is 0; allowed: a whole number from 1 to 4294967295"],
    [{ maxUnsettled: 1.5 }, "maxUnsettled is 1.5; allowed: a whole number from 1 to 4294967295"],
    [{ maxDeliveries: 2 ** 32 }, "maxDeliveries is 4294967296; allowed: a whole number from 1 to 4294967295"],
    [{ windowMessages: -1 }, "windowMessages is -1; allowed: a whole number from 1 to 4294967295"],
    [{ windowBytes: 0 }, "windowBytes is 0; allowed: a whole number from 1 to 9007199254740991"],
    [{ ackTimeoutMs: Number.NaN }, "ackTimeoutMs is NaN; allowed: a number of milliseconds from 0"],
    [{ dedupWindowMs: Infinity }, "dedupWindowMs is Infinity; allowed: a number of milliseconds from 0"],
    [{ backoffMinMs: -1 }, "backoffMinMs is -1; allowed: a number of milliseconds from 0"],
    [{ backoffFactor: 0 }, "backoffFactor is 0; allowed: a number above 0"],
    [{ retention: "UNRECOGNIZED" }, "retention is UNRECOGNIZED; allowed: UNTIL_ACKED or LOG"],
    [{ whenFull: "UNRECOGNIZED" }, "whenFull is UNRECOGNIZED; allowed: DROP_OLDEST or REJECT_NEW"],
    [{ maxMessages: 0 }, "maxMessages is 0; allowed: a whole number from 1 to 9007199254740991"],
    [{ maxAgeMs: -1 }, "maxAgeMs is -1; allowed: a number of milliseconds from 0"],
    [{ onPoison: "UNRECOGNIZED" }, "onPoison is UNRECOGNIZED; allowed: DEAD_LETTER or BLOCK_LANE"],
    [{ onExpiry: "UNRECOGNIZED" }, "onExpiry is UNRECOGNIZED; allowed: SETTLE or DEAD_LETTER"],
  ];
  for (const [changes, message] of refused) {
    it(`are refused before anything is sent: ${message}`, async () => {
      expect(await failureOf(client.admin.updateQueue("orders", changes))).to.include({ code: "INVALID_ARGUMENT", reason: "INVALID_FIELD", message });
      expect(updates).to.deep.equal([]);
    });
  }

  it("leave out of retention what is so anyway", async () => {
    answered = { retention: { mode: RetentionMode.UNTIL_ACKED, maxAge: undefined, maxBytes: 0n, maxMessages: 0n, whenFull: WhenFull.REJECT_NEW } };
    expect((await client.admin.createQueue("orders")).settings).to.deep.equal({});
    answered = { retention: { mode: RetentionMode.LOG, maxAge: undefined, maxBytes: 0n, maxMessages: 9n, whenFull: WhenFull.UNRECOGNIZED } };
    expect((await client.admin.createQueue("orders")).settings).to.deep.equal({ retention: "LOG", maxMessages: 9, whenFull: "UNRECOGNIZED" });
  });

  it("show in a subscriber as what holds for it, with the lanes that are blocked", async () => {
    subscriber = { queue: "orders", name: "billing", blockedLaneCount: 3n, effectiveSettings: SUBSCRIBER_DEFAULTS };
    const { dedupWindowMs, dedupIdsMax, retention, maxAgeMs, maxBytes, maxMessages, whenFull, ...ofSubscribers } = SETTINGS;
    expect([dedupWindowMs, dedupIdsMax, retention, maxAgeMs, maxBytes, maxMessages, whenFull]).to.deep.equal([0, 500, "LOG", 90_000, 4_000, 30, "REJECT_NEW"]);
    expect(await client.admin.subscriber("orders", "billing")).to.deep.include({ blockedLaneCount: 3, effectiveSettings: ofSubscribers });
    subscriber = { effectiveSettings: { ...SubscriberSettings.create(), onPoison: OnPoison.UNRECOGNIZED, onExpiry: OnExpiry.UNRECOGNIZED } };
    expect((await client.admin.subscriber("orders", "billing")).effectiveSettings).to.deep.equal({ onPoison: "UNRECOGNIZED", onExpiry: "UNRECOGNIZED" });
    subscriber = {};
    expect((await client.admin.subscriber("orders", "billing")).effectiveSettings, "a broker that does not say").to.deep.equal({});
  });
});
