import { expect } from "chai";
import { MemoryEngine } from "../../../src/engines/memory/memory-engine.js";
import type { BrokerView, QueueView, SubscriberView } from "../../../src/ports/telemetry.js";
import { EventLoopTurns } from "../../../src/system/turns.js";
import { METRICS, QUEUE_SERIES_MAX, SUBSCRIBER_SERIES_MAX } from "../../../src/telemetry/metric-table.js";
import type { MetricEntry } from "../../../src/telemetry/metric-table.js";
import { PrometheusTelemetry } from "../../../src/telemetry/prometheus.js";
import { parseScrape, valueOf } from "../../support/prometheus-text.js";
import type { Scrape } from "../../support/prometheus-text.js";

function subscriberView(name: string, lag: number): SubscriberView {
  return { name, committedOffset: 10 - lag, lag, backlogCount: lag, inFlightCount: 0, waitingRetryCount: 0, deadLetterCount: 0, clientCount: 1 };
}

function queueView(name: string, subscribers: readonly SubscriberView[]): QueueView {
  const counts = { headOffset: 10, firstOffset: 1, messages: 10, bytes: 1_000, openBatchBytes: 0, scheduledCount: 0, clientCount: subscribers.length };
  return { name, ...counts, subscriberCount: subscribers.length, subscribers: () => subscribers };
}

function brokerView(queues: readonly QueueView[]): BrokerView {
  return { queueCount: queues.length, sessionCount: 3, views: () => queues };
}

class Bench {
  readonly turns = new EventLoopTurns();
  readonly telemetry = new PrometheusTelemetry(this.turns);

  async scrape(queues: readonly QueueView[]): Promise<Scrape> {
    this.telemetry.watch({ broker: brokerView(queues), engine: new MemoryEngine(), version: "1.2.3" });
    return parseScrape(await this.telemetry.scrape());
  }
}

describe("PrometheusTelemetry", () => {
  it("has every metric of the table, with its type and help, and beside them only those of the process", async () => {
    const scrape = await new Bench().scrape([]);
    for (const { name, type, help } of Object.values<MetricEntry>(METRICS)) expect(scrape.get(name), name).to.include({ type, help });
    const others = [...scrape.keys()].filter((name) => !Object.values<MetricEntry>(METRICS).some((entry) => entry.name === name));
    expect(others.filter((name) => !/^(process|nodejs)_/.test(name))).to.deep.equal([]);
    for (const [name, { type }] of scrape) expect(name.endsWith("_total"), name).to.equal(type === "counter");
    expect(others).to.include.members(["process_resident_memory_bytes", "nodejs_eventloop_lag_seconds", "nodejs_gc_duration_seconds"]);
  });

  it("says what was counted, and how things stand", async () => {
    const bench = new Bench();
    bench.telemetry.queue("orders").publishedMessages += 7;
    const tally = bench.telemetry.subscriber("orders", "billing");
    tally.delivered += 5;
    tally.redelivered.TIMEOUT += 2;
    bench.telemetry.publishFailed("DISK_FULL");
    bench.telemetry.committed(3, 20);
    const meter = bench.telemetry.method("tidemark.v1.BrokerService", "Publish", false);
    meter.started();
    meter.ended("UNAVAILABLE", 4);
    const scrape = await bench.scrape([queueView("orders", [subscriberView("billing", 4)])]);
    const values: Readonly<Record<string, number>> = {
      'tidemark_published_messages_total{queue="orders"}': 7,
      'tidemark_deliveries_total{queue="orders",subscriber="billing"}': 5,
      'tidemark_redeliveries_total{queue="orders",subscriber="billing",cause="TIMEOUT"}': 2,
      'tidemark_redeliveries_total{queue="orders",subscriber="billing",cause="RETRY"}': 0,
      'tidemark_subscriber_lag_offsets{queue="orders",subscriber="billing"}': 4,
      'tidemark_subscriber_committed_offset{queue="orders",subscriber="billing"}': 6,
      'tidemark_queue_bytes{queue="orders"}': 1_000,
      'tidemark_publish_failures_total{reason="DISK_FULL"}': 1,
      'tidemark_rpc_requests_total{method="BrokerService/Publish",code="UNAVAILABLE"}': 1,
      'tidemark_rpc_seconds_sum{method="BrokerService/Publish"}': 0.004,
      'tidemark_commit_seconds_bucket{le="0.01"}': 0,
      'tidemark_commit_seconds_bucket{le="0.025"}': 1,
      tidemark_commit_seconds_sum: 0.02,
      tidemark_commit_operations_sum: 3,
      tidemark_sessions: 3,
      'tidemark_build_info{version="1.2.3",engine="memory",durability="MEMORY"}': 1,
    };
    for (const [series, value] of Object.entries(values)) expect(valueOf(scrape, series), series).to.equal(value);
  });

  it("counts streams while they are open, and their end once", async () => {
    const bench = new Bench();
    const meter = bench.telemetry.method("tidemark.v1.BrokerService", "Subscribe", true);
    meter.started();
    meter.started();
    meter.ended("CANCELLED", 1);
    const scrape = await bench.scrape([]);
    expect(valueOf(scrape, 'tidemark_streams{method="BrokerService/Subscribe"}')).to.equal(1);
    expect(valueOf(scrape, 'tidemark_rpc_requests_total{method="BrokerService/Subscribe",code="CANCELLED"}')).to.equal(1);
    expect([...(scrape.get("tidemark_rpc_seconds")?.samples.keys() ?? [])]).to.deep.equal([]);
  });

  it("tells apart as many queues and subscribers as it says, and adds up the others", async () => {
    const bench = new Bench();
    const views: QueueView[] = [];
    for (let i = 0; i < QUEUE_SERIES_MAX + 50; i++) {
      const names = Array.from({ length: 3 }, (_, j) => `s${j}`);
      bench.telemetry.queue(`q${i}`).publishedMessages += 1;
      for (const name of names) bench.telemetry.subscriber(`q${i}`, name).delivered += 1;
      views.push(queueView(`q${i}`, names.map((name) => subscriberView(name, 1))));
    }
    const scrape = await bench.scrape(views);
    expect(scrape.get("tidemark_published_messages_total")?.samples.size).to.equal(QUEUE_SERIES_MAX + 1);
    expect(valueOf(scrape, 'tidemark_published_messages_total{queue="(other)"}')).to.equal(50);
    expect(valueOf(scrape, 'tidemark_queue_messages{queue="(other)"}')).to.equal(500);
    expect(valueOf(scrape, 'tidemark_queue_head_offset{queue="(other)"}')).to.equal(undefined);
    expect(scrape.get("tidemark_deliveries_total")?.samples.size).to.equal(SUBSCRIBER_SERIES_MAX + 1);
    const others = 3 * (QUEUE_SERIES_MAX + 50) - SUBSCRIBER_SERIES_MAX;
    expect(valueOf(scrape, 'tidemark_deliveries_total{queue="(other)",subscriber="(other)"}')).to.equal(others);
    expect(valueOf(scrape, 'tidemark_subscriber_lag_offsets{queue="(other)",subscriber="(other)"}')).to.equal(others);
  });

  it("lets go of what is deleted, while what the others counted together stays", async () => {
    const bench = new Bench();
    for (let i = 0; i <= QUEUE_SERIES_MAX; i++) bench.telemetry.queue(`q${i}`).publishedMessages += 1;
    bench.telemetry.subscriber("q0", "billing").delivered += 1;
    bench.telemetry.forgetQueue("q0");
    bench.telemetry.forgetQueue(`q${QUEUE_SERIES_MAX}`);
    const scrape = await bench.scrape([]);
    expect(valueOf(scrape, 'tidemark_published_messages_total{queue="q0"}')).to.equal(undefined);
    expect(valueOf(scrape, 'tidemark_deliveries_total{queue="q0",subscriber="billing"}')).to.equal(undefined);
    expect(valueOf(scrape, 'tidemark_published_messages_total{queue="(other)"}')).to.equal(1);
    bench.telemetry.queue("new").publishedMessages += 2;
    expect(valueOf(await bench.scrape([]), 'tidemark_published_messages_total{queue="new"}')).to.equal(2);
  });

  it("keeps a tally for a subscriber that is loaded again, and begins anew for one that was deleted", () => {
    const { telemetry } = new Bench();
    telemetry.queue("orders");
    const tally = telemetry.subscriber("orders", "billing");
    expect(telemetry.subscriber("orders", "billing")).to.equal(tally);
    telemetry.forgetSubscriber("orders", "billing");
    expect(telemetry.subscriber("orders", "billing")).to.not.equal(tally);
  });

  it("counts ephemeral subscribers of a queue together, without gauges", async () => {
    const bench = new Bench();
    bench.telemetry.queue("orders");
    bench.telemetry.subscriber("orders", "").delivered += 1;
    bench.telemetry.subscriber("orders", "").delivered += 2;
    const scrape = await bench.scrape([queueView("orders", [])]);
    expect(valueOf(scrape, 'tidemark_deliveries_total{queue="orders",subscriber="(ephemeral)"}')).to.equal(3);
    expect(scrape.get("tidemark_subscriber_lag_offsets")?.samples.size).to.equal(0);
  });

  it("looks once for scrapes that come together, and lets others have their turn meanwhile", async () => {
    const bench = new Bench();
    let looks = 0;
    const names = Array.from({ length: SUBSCRIBER_SERIES_MAX }, (_, i) => `s${i}`);
    bench.telemetry.queue("orders");
    for (const name of names) bench.telemetry.subscriber("orders", name).delivered += 1;
    const view = queueView("orders", names.map((name) => subscriberView(name, 1)));
    const broker: BrokerView = { queueCount: 1, sessionCount: 0, views: () => (looks++, [view]) };
    bench.telemetry.watch({ broker, engine: new MemoryEngine(), version: "1.2.3" });
    let turns = 0;
    let over = false;
    const count = (): void => {
      turns++;
      if (!over) setImmediate(count);
    };
    setImmediate(count);
    const [first, second] = await Promise.all([bench.telemetry.scrape(), bench.telemetry.scrape()]);
    over = true;
    expect(first).to.equal(second);
    expect(looks).to.equal(1);
    expect(turns).to.be.greaterThan(Object.keys(METRICS).length);
    await bench.telemetry.scrape();
    expect(looks).to.equal(2);
  });
});
