import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";
import type { ErrorReason } from "../core/errors.js";
import type { SubscriptionTally } from "../core/subscription/tally.js";
import type { DiskUse, Engine } from "../ports/engine.js";
import type { BrokerView, MethodMeter, QueueTally, Telemetry } from "../ports/telemetry.js";
import type { Turns } from "../ports/turns.js";
import { BrokerSeries, nextTurn } from "./broker-series.js";
import type { QueueSums, SubscriberSums } from "./broker-series.js";
import type { Series } from "./capped-series.js";
import { METRICS } from "./metric-table.js";
import type { MetricEntry } from "./metric-table.js";

/** Gauges of the library that have the suffix of counters, which Prometheus' own checks complain of. */
const MISNAMED = ["nodejs_active_handles_total", "nodejs_active_requests_total", "nodejs_active_resources_total"];

/** What is looked at when somebody scrapes. */
export interface ScrapeSubject {
  readonly broker: BrokerView;
  readonly engine: Engine;
  /** Of this program, as in semver.org. */
  readonly version: string;
}

/**
 * Counts, and tells Prometheus. Counting is an addition to a tally; the metrics of the library are filled from the tallies, and
 * from how things stand, when somebody scrapes. Scrapes that come together share one.
 */
export class PrometheusTelemetry implements Telemetry {
  private readonly registry = new Registry();
  private readonly series = new BrokerSeries();
  private readonly failures = new Map<ErrorReason, number>();
  private readonly calls = new Map<string, Map<string, number>>();
  private readonly openStreams = new Map<string, number>();
  private readonly commitSeconds = this.histogram(METRICS.commitSeconds);
  private readonly commitOperations = this.histogram(METRICS.commitOperations);
  private readonly rpcSeconds = this.histogram(METRICS.rpcSeconds);
  private subject: ScrapeSubject | undefined;
  private disk: DiskUse | undefined;
  private scraping: Promise<string> | undefined;

  constructor(private readonly turns: Turns) {
    collectDefaultMetrics({ register: this.registry });
    for (const name of MISNAMED) this.registry.removeSingleMetric(name);
    this.registerQueues();
    this.registerSubscribers();
    this.registerProcess();
  }

  /** Of what `scrape` answers. */
  get contentType(): string {
    return this.registry.contentType;
  }

  queue(queue: string): QueueTally {
    return this.series.queue(queue);
  }

  subscriber(queue: string, subscriber: string): SubscriptionTally {
    return this.series.subscriber(queue, subscriber);
  }

  forgetQueue(queue: string): void {
    this.series.forgetQueue(queue);
  }

  forgetSubscriber(queue: string, subscriber: string): void {
    this.series.forgetSubscriber(queue, subscriber);
  }

  publishFailed(reason: ErrorReason): void {
    this.failures.set(reason, (this.failures.get(reason) ?? 0) + 1);
  }

  committed(operations: number, waitedMs: number): void {
    this.commitSeconds.observe(waitedMs / 1_000);
    this.commitOperations.observe(operations);
  }

  method(service: string, method: string, streams: boolean): MethodMeter {
    const name = `${service.slice(service.lastIndexOf(".") + 1)}/${method}`;
    const byCode = new Map<string, number>();
    this.calls.set(name, byCode);
    const count = (status: string): void => {
      byCode.set(status, (byCode.get(status) ?? 0) + 1);
    };
    if (streams) return this.streamMeter(name, count);
    const seconds = this.rpcSeconds.labels(name);
    return {
      started: () => undefined,
      ended: (status, tookMs) => {
        count(status);
        seconds.observe(tookMs / 1_000);
      },
    };
  }

  /** From now on a scrape looks at this. */
  watch(subject: ScrapeSubject): void {
    this.subject = subject;
  }

  /** All metrics in Prometheus' text format. Others get a turn between any two metrics. */
  scrape(): Promise<string> {
    this.scraping ??= this.render().finally(() => {
      this.scraping = undefined;
    });
    return this.scraping;
  }

  private async render(): Promise<string> {
    const { subject } = this;
    if (subject !== undefined) {
      this.disk = await subject.engine.diskUse();
      await this.series.look(subject.broker, this.turns);
    }
    const texts: string[] = [];
    for (const { name } of this.registry.getMetricsAsArray()) {
      texts.push(await this.registry.getSingleMetricAsString(name));
      await nextTurn(this.turns);
    }
    return `${texts.join("\n\n")}\n`;
  }

  private streamMeter(name: string, count: (status: string) => void): MethodMeter {
    const change = (by: number): void => {
      this.openStreams.set(name, (this.openStreams.get(name) ?? 0) + by);
    };
    change(0);
    return {
      started: () => {
        change(1);
      },
      ended: (status) => {
        change(-1);
        count(status);
      },
    };
  }

  private registerProcess(): void {
    this.gauge(METRICS.buildInfo, (set) => {
      if (this.subject === undefined) return;
      const { version, engine } = this.subject;
      set({ version, engine: engine.name, durability: engine.durability }, 1);
    });
    this.gauge(METRICS.queues, (set) => {
      set({}, this.subject?.broker.queueCount ?? 0);
    });
    this.gauge(METRICS.sessions, (set) => {
      set({}, this.subject?.broker.sessionCount ?? 0);
    });
    this.gauge(METRICS.streams, (set) => {
      for (const [method, open] of this.openStreams) set({ method }, open);
    });
    this.gauge(METRICS.diskHasRoom, (set) => {
      set({}, this.subject?.engine.hasRoom === false ? 0 : 1);
    });
    this.gauge(METRICS.diskFreeBytes, (set) => {
      if (this.disk !== undefined) set({}, this.disk.freeBytes);
    });
    this.gauge(METRICS.storeBytes, (set) => {
      if (this.disk !== undefined) set({}, this.disk.storeBytes);
    });
    this.counter(METRICS.publishFailures, (set) => {
      for (const [reason, count] of this.failures) set({ reason }, count);
    });
    this.counter(METRICS.rpcRequests, (set) => {
      for (const [method, byCode] of this.calls) for (const [code, count] of byCode) set({ method, code }, count);
    });
  }

  private registerQueues(): void {
    const counters: readonly [MetricEntry, (tally: QueueTally) => number][] = [
      [METRICS.publishedMessages, (tally) => tally.publishedMessages],
      [METRICS.publishedBytes, (tally) => tally.publishedBytes],
      [METRICS.duplicateMessages, (tally) => tally.duplicates],
      [METRICS.publishStalls, (tally) => tally.stalls],
      [METRICS.trimmedMessages, (tally) => tally.trimmedMessages],
      [METRICS.scheduledAppended, (tally) => tally.scheduledAppended],
      [METRICS.expiredSubscribers, (tally) => tally.expiredSubscribers],
      [METRICS.trimmedBytes, (tally) => tally.trimmedBytes],
      [METRICS.droppedMessages, (tally) => tally.droppedMessages],
      [METRICS.droppedBytes, (tally) => tally.droppedBytes],
    ];
    const gauges: readonly [MetricEntry, keyof QueueSums][] = [
      [METRICS.queueMessages, "messages"],
      [METRICS.queueBytes, "bytes"],
      [METRICS.queueHeadOffset, "headOffset"],
      [METRICS.queueFirstOffset, "firstOffset"],
      [METRICS.queueSubscribers, "subscriberCount"],
      [METRICS.queueClients, "clientCount"],
      [METRICS.queueOpenBatchBytes, "openBatchBytes"],
      [METRICS.queueScheduled, "scheduledCount"],
    ];
    for (const [entry, key] of gauges) this.gauge(entry, (set) => { setSums(this.series.queues.all(), key, set); });
    for (const [entry, read] of counters) {
      this.counter(entry, (set) => {
        for (const { labels, tally } of this.series.queues.all()) set(labels, read(tally));
      });
    }
  }

  private registerSubscribers(): void {
    const gauges: readonly [MetricEntry, keyof SubscriberSums][] = [
      [METRICS.subscriberCommittedOffset, "committedOffset"],
      [METRICS.subscriberLag, "lag"],
      [METRICS.subscriberBacklog, "backlogCount"],
      [METRICS.subscriberInFlight, "inFlightCount"],
      [METRICS.subscriberWaitingRetry, "waitingRetryCount"],
      [METRICS.subscriberDeadLetters, "deadLetterCount"],
      [METRICS.subscriberClients, "clientCount"],
    ];
    const counters: readonly [MetricEntry, string, (tally: SubscriptionTally) => Readonly<Record<string, number>>][] = [
      [METRICS.redeliveries, "cause", (tally) => tally.redelivered],
      [METRICS.verdicts, "verdict", ({ acked, retried, rejected, released }) => ({ ack: acked, retry: retried, reject: rejected, release: released })],
      [METRICS.lostLeases, "cause", (tally) => tally.lost],
      [METRICS.settleFailures, "code", (tally) => tally.settleFailures],
      [METRICS.deadLetters, "reason", (tally) => tally.deadLettered],
    ];
    for (const [entry, key] of gauges) this.gauge(entry, (set) => { setSums(this.series.subscribers.all(), key, set); });
    this.counter(METRICS.deliveries, (set) => {
      for (const { labels, tally } of this.series.subscribers.all()) set(labels, tally.delivered);
    });
    this.counter(METRICS.lostMessages, (set) => {
      for (const { labels, tally } of this.series.subscribers.all()) set(labels, tally.dropped);
    });
    this.counter(METRICS.expiredMessages, (set) => {
      for (const { labels, tally } of this.series.subscribers.all()) set(labels, tally.expired);
    });
    for (const [entry, label, read] of counters) {
      this.counter(entry, (set) => {
        for (const { labels, tally } of this.series.subscribers.all()) {
          for (const [value, count] of Object.entries(read(tally))) set({ ...labels, [label]: value }, count);
        }
      });
    }
  }

  private counter({ name, help, labels }: MetricEntry, fill: (set: SetValue) => void): void {
    const counter: Counter = new Counter({
      ...{ name, help, labelNames: labels, registers: [this.registry] },
      collect: () => {
        counter.reset();
        fill((values, count) => {
          counter.inc(values, count);
        });
      },
    });
  }

  private gauge({ name, help, labels }: MetricEntry, fill: (set: SetValue) => void): void {
    const gauge: Gauge = new Gauge({
      ...{ name, help, labelNames: labels, registers: [this.registry] },
      collect: () => {
        gauge.reset();
        fill((values, value) => {
          gauge.set(values, value);
        });
      },
    });
  }

  private histogram({ name, help, labels, buckets = [] }: MetricEntry): Histogram {
    return new Histogram({ name, help, labelNames: labels, buckets: [...buckets], registers: [this.registry] });
  }
}

type SetValue = (labels: Readonly<Record<string, string>>, value: number) => void;

/** Offsets of different logs do not add up, so the shared series has none. */
function setSums<Key extends string>(all: Iterable<Series<unknown, Record<Key, number>>>, key: Key, set: SetValue): void {
  for (const { labels, isOther, sums } of all) if (sums !== undefined && !(isOther && key.endsWith("Offset"))) set(labels, sums[key]);
}
