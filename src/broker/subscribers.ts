import { BrokerError } from "../core/errors.js";
import { EventFilter } from "../core/event-filter.js";
import type { OpenSession, StartPoint } from "../core/session.js";
import { Subscription } from "../core/subscription/subscription.js";
import type { DeliveryRules, SubscriptionSettings } from "../core/subscription/subscription.js";
import type { SubscriptionTally } from "../core/subscription/tally.js";
import { offset } from "../core/units.js";
import type { Offset } from "../core/units.js";
import type { Entry } from "../ports/state.js";
import type { SubscriberView, Telemetry } from "../ports/telemetry.js";
import type { StoredCursor } from "./cursor-writer.js";
import { JsonRecord, RecordCorrupt } from "./json-record.js";
import { SerialByName } from "./serial-by-name.js";
import { deliveryRules } from "./settings.js";
import type { BrokerSettings } from "./settings.js";
import { nextTurn } from "./log-headers.js";
import { checkSubscriberClaims } from "./subscriber-claims.js";
import { cursorKey, deadLetterCountKey, deadLetterPrefix, SUBSCRIBER_PREFIX, subscriberKey } from "./state-keys.js";
import { decodeSubscriberRecord, encodeSubscriberRecord } from "./subscriber-record.js";
import type { SubscriberRecord } from "./subscriber-record.js";
import { SubscriptionDriver } from "./subscription-driver.js";
import type { DriverOwner, DriverParts } from "./subscription-driver.js";

const ENTRIES_AT_ONCE = 256;
/** Dead letters carry their messages, so few are listed at once. */
const DEAD_LETTERS_AT_ONCE = 32;
/** A durable subscriber's default; an ephemeral one begins with what comes. */
const DURABLE_START: StartPoint = { kind: "earliest" };
const EPHEMERAL_START: StartPoint = { kind: "latest" };

/** What the subscribers of a queue need of it. */
export interface SubscribersParts extends DriverParts {
  readonly queue: string;
  readonly ordered: boolean;
  /** What holds for the queue when it is opened. */
  readonly settings: BrokerSettings;
  readonly telemetry: Telemetry;
  /** Resolves when nothing is being trimmed: the oldest message left then stays in this turn. */
  readonly trimIdle: () => Promise<void>;
  /** A durable subscriber came or went. */
  readonly changed: () => void;
  /** A committed offset may have moved. */
  readonly cursorSaved: () => void;
  readonly sessionOver: DriverOwner["sessionOver"];
}

/** One durable subscriber that is loaded. */
export interface DurableSubscriber {
  readonly record: SubscriberRecord;
  readonly driver: SubscriptionDriver;
}

/** A session's subscription, and whether it was made for it. */
export interface Joined {
  readonly driver: SubscriptionDriver;
  readonly created: boolean;
}

/** The subscriptions of one queue: every durable subscriber, asleep or not, and the ephemeral ones that have a session. */
export class Subscribers {
  private readonly durable = new Map<string, DurableSubscriber>();
  /** Subscriptions with a session, durable and ephemeral: a publish costs nothing for those that sleep. */
  private readonly awake = new Set<SubscriptionDriver>();
  /** Subscribers that are being made or loaded again, with what must not be trimmed from under them. */
  private readonly floors = new Map<string, Offset>();
  private readonly serial = new SerialByName();
  private readonly owner: DriverOwner;
  private rules: DeliveryRules;

  constructor(private readonly parts: SubscribersParts) {
    this.rules = deliveryRules(parts.settings);
    this.owner = {
      cursorSaved: parts.cursorSaved,
      sessionOver: parts.sessionOver,
      awoke: (driver) => {
        this.awake.add(driver);
      },
      emptied: (driver) => {
        this.awake.delete(driver);
        if (driver.name === "") driver.close(this.deletedError(driver.name));
      },
      cursorLost: (driver) => {
        this.reload(driver.name);
      },
    };
  }

  /** Loads every durable subscriber. Once, before anything else. */
  async load(): Promise<void> {
    let after: string | undefined;
    for (;;) {
      const entries = await this.parts.state.list(SUBSCRIBER_PREFIX, after, ENTRIES_AT_ONCE);
      for (const entry of entries) await this.loadOne(entry);
      after = entries[entries.length - 1]?.key;
      if (entries.length < ENTRIES_AT_ONCE) return;
    }
  }

  get count(): number {
    return this.durable.size;
  }

  /** Open sessions, of durable and ephemeral subscribers. */
  get sessionCount(): number {
    let count = 0;
    for (const driver of this.awake) count += driver.sessionCount;
    return count;
  }

  get deadLetterCount(): number {
    let count = 0;
    for (const { driver } of this.durable.values()) count += driver.deadLetterCount;
    return count;
  }

  /** How each durable subscriber stands, for telemetry. */
  *views(): Iterable<SubscriberView> {
    const head = this.parts.log.head().next - 1;
    for (const [name, { driver }] of this.durable) {
      const { committedOffset, inFlight, waitingRetry } = driver.counts();
      yield {
        ...{ name, committedOffset, inFlightCount: inFlight, waitingRetryCount: waitingRetry },
        lag: Math.max(0, head - committedOffset),
        backlogCount: driver.backlogCount(),
        deadLetterCount: driver.deadLetterCount,
        clientCount: driver.sessionCount,
      };
    }
  }

  /** The filters of all durable subscribers. */
  *filters(): Iterable<EventFilter> {
    for (const { driver } of this.durable.values()) yield driver.filter;
  }

  /** Everything up to it is settled by every durable subscriber, or, while there is none, purged. */
  settledThrough(): Offset {
    if (this.durable.size + this.floors.size === 0) return this.parts.log.purgedThrough;
    let through = Infinity;
    for (const { driver } of this.durable.values()) through = Math.min(through, driver.committedOffset());
    for (const floor of this.floors.values()) through = Math.min(through, floor);
    return offset(through);
  }

  sleepers(): readonly SubscriptionDriver[] {
    return [...this.durable.values()].map(({ driver }) => driver).filter((driver) => driver.sessionCount === 0);
  }

  /** True while somebody listens. */
  get isAwake(): boolean {
    return this.awake.size > 0;
  }

  headAdvanced(): void {
    for (const driver of this.awake) driver.headAdvanced();
  }

  /** Every subscription lets go of what was purged, one a turn, since one that is far behind has much to let go of. */
  async passPurged(): Promise<void> {
    const all = new Set(this.awake);
    for (const { driver } of this.durable.values()) all.add(driver);
    for (const driver of all) {
      driver.passPurged();
      await nextTurn(this.parts.turns);
    }
  }

  /** The durable subscriber that `open` names, made if there is none, or an ephemeral one. */
  async join(open: OpenSession): Promise<Joined> {
    const filter = EventFilter.parse(open.events);
    if (open.subscriber === "") return { driver: this.makeEphemeral(open, filter), created: true };
    return this.serial.run(open.subscriber, async () => {
      const known = this.durable.get(open.subscriber);
      if (known === undefined) return { driver: await this.create(open, filter), created: true };
      checkSubscriberClaims(known.record, open, filter);
      return { driver: known.driver, created: false };
    });
  }

  /** Waits for what is under way under this name. */
  find(name: string): Promise<DurableSubscriber> {
    return this.serial.run(name, () => Promise.resolve().then(() => this.get(name)));
  }

  private get(name: string): DurableSubscriber {
    const known = this.durable.get(name);
    if (known === undefined) {
      throw new BrokerError("SUBSCRIBER_NOT_FOUND", `queue ${this.parts.queue} has no subscriber ${name}`, { queue: this.parts.queue, subscriber: name });
    }
    return known;
  }

  /** Sorted by name. */
  list(after: string | undefined, limit: number): readonly DurableSubscriber[] {
    const names = [...this.durable.keys()].filter((name) => after === undefined || name > after).sort();
    return names.slice(0, limit).map((name) => this.get(name));
  }

  /** Ends its sessions and removes what is stored of it, its dead letters last. */
  delete(name: string): Promise<void> {
    return this.serial.run(name, async () => {
      const { driver } = this.get(name);
      this.durable.delete(name);
      driver.close(this.deletedError(name));
      this.parts.telemetry.forgetSubscriber(this.parts.queue, name);
      this.parts.changed();
      const keys = [subscriberKey(name), cursorKey(name), deadLetterCountKey(name)];
      await this.parts.state.commit(keys.map((key) => ({ key, value: null, expect: "any" })));
      await this.removeDeadLetters(name);
    });
  }

  /** Other settings hold from now on; `detail` says which, empty: none that subscribers have. */
  settingsChanged(settings: BrokerSettings, detail: string): void {
    if (detail === "") return;
    this.rules = deliveryRules(settings);
    const drivers = new Set([...this.awake, ...[...this.durable.values()].map(({ driver }) => driver)]);
    for (const driver of drivers) driver.changeRules(this.rules, detail);
  }

  /** Brings up to date what was being made while settings changed. */
  refresh(driver: SubscriptionDriver): void {
    if (driver.rules !== this.rules) driver.changeRules(this.rules, "");
  }

  /** Ends every session with this error. What is stored stays. */
  close(error: BrokerError): void {
    for (const driver of [...this.awake]) driver.close(error);
    for (const { driver } of this.durable.values()) driver.close(error);
  }

  /** Resolves when everything settled so far is durable. */
  async flush(): Promise<void> {
    await Promise.all([...this.durable.values()].map(({ driver }) => driver.flush()));
  }

  private async loadOne(entry: Entry): Promise<void> {
    const { state, log, clock } = this.parts;
    const name = entry.key.slice(SUBSCRIBER_PREFIX.length);
    const record = decodeSubscriberRecord(name, entry.value);
    const cursor = await state.get(cursorKey(name));
    if (cursor === undefined) throw new RecordCorrupt(`subscriber ${name} of queue ${this.parts.queue} has no cursor`);
    const count = await state.get(deadLetterCountKey(name));
    const deadLetters = count === undefined ? 0 : new JsonRecord(count.value, `the dead letter count of subscriber ${name}`).count("count");
    const settings = this.subscriptionSettings(name, EventFilter.parse(record.events), false);
    const machine = Subscription.restore(settings, cursor.value, offset(log.head().next - 1), clock.now(), this.tally(name));
    this.keep(record, settings, machine, { token: cursor.token, deadLetters });
  }

  private keep(record: SubscriberRecord, settings: SubscriptionSettings, machine: Subscription, stored: StoredCursor): SubscriptionDriver {
    const driver = new SubscriptionDriver(settings, machine, this.parts, this.owner, stored);
    this.durable.set(record.name, { record, driver });
    this.refresh(driver);
    // A purge may have come while it was made, or its own cursor not have been stored before a crash.
    driver.passPurged();
    this.parts.changed();
    return driver;
  }

  private async create(open: OpenSession, filter: EventFilter): Promise<SubscriptionDriver> {
    const { state, clock, trimIdle, log } = this.parts;
    const name = open.subscriber;
    await this.removeDeadLetters(name);
    await trimIdle();
    const start = open.start ?? DURABLE_START;
    const after = this.startOffset(start);
    const record: SubscriberRecord = { name, events: filter.patterns, createTimeMs: clock.wall(), start };
    const settings = this.subscriptionSettings(name, filter, false);
    const machine = Subscription.begin(settings, after, offset(log.head().next - 1), this.tally(name));
    this.floors.set(name, after);
    try {
      const [, token] = await state.commit([
        { key: subscriberKey(name), value: encodeSubscriberRecord(record), expect: "absent" },
        { key: cursorKey(name), value: machine.encodeCursor().bytes, expect: "absent" },
      ]);
      if (token === undefined) throw new Error("a commit of a new subscriber came back without its tokens");
      return this.keep(record, settings, machine, { token, deadLetters: 0 });
    } finally {
      this.floors.delete(name);
    }
  }

  private makeEphemeral(open: OpenSession, filter: EventFilter): SubscriptionDriver {
    const settings = this.subscriptionSettings("", filter, true);
    const after = this.startOffset(open.start ?? EPHEMERAL_START);
    const machine = Subscription.begin(settings, after, offset(this.parts.log.head().next - 1), this.tally(""));
    return new SubscriptionDriver(settings, machine, this.parts, this.owner, undefined);
  }

  private tally(name: string): SubscriptionTally {
    return this.parts.telemetry.subscriber(this.parts.queue, name);
  }

  /** The offset after which a start begins. */
  private startOffset(start: StartPoint): Offset {
    const { first, next } = this.parts.log.head();
    if (start.kind === "earliest") return offset(first - 1);
    if (start.kind === "latest") return offset(next - 1);
    if (start.offset >= next) {
      throw new BrokerError("BEYOND_HEAD", `start_after_offset is ${start.offset}, and the last message of queue ${this.parts.queue} has offset ${next - 1}`, {
        field: "open.start_after_offset",
        value: String(start.offset),
        limit: `${first - 1} to ${next - 1}`,
      });
    }
    return start.offset;
  }

  private subscriptionSettings(name: string, filter: EventFilter, ephemeral: boolean): SubscriptionSettings {
    return { ...this.rules, name, filter, ordered: this.parts.ordered, ephemeral };
  }

  /** Loads a subscriber whose driver is over from what is stored now. Whoever opens a session meanwhile waits. */
  private reload(name: string): void {
    this.floors.set(name, offset(0));
    this.durable.delete(name);
    this.serial
      .run(name, async () => {
        const entry = await this.parts.state.get(subscriberKey(name));
        if (entry !== undefined) await this.loadOne(entry);
        this.floors.delete(name);
      })
      .catch((error: unknown) => {
        this.parts.journal.error("a subscriber cannot be loaded again; nothing is trimmed until the server is restarted", { subscriber: name, error });
      });
  }

  private async removeDeadLetters(name: string): Promise<void> {
    for (;;) {
      const letters = await this.parts.state.list(deadLetterPrefix(name), undefined, DEAD_LETTERS_AT_ONCE);
      if (letters.length === 0) return;
      await this.parts.state.commit(letters.map(({ key }) => ({ key, value: null, expect: "any" })));
    }
  }

  private deletedError(name: string): BrokerError {
    const { queue } = this.parts;
    return new BrokerError("SUBSCRIBER_DELETED", `subscriber ${name} of queue ${queue} was deleted`, { queue, subscriber: name });
  }
}
