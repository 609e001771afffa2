import { BrokerError } from "../core/errors.js";
import { EventFilter } from "../core/event-filter.js";
import type { OpenSession, StartPoint } from "../core/session.js";
import { Subscription } from "../core/subscription/subscription.js";
import type { DeliveryRules, SubscriptionSettings } from "../core/subscription/subscription.js";
import type { SubscriptionTally } from "../core/subscription/tally.js";
import { offset } from "../core/units.js";
import type { Offset } from "../core/units.js";
import type { SubscriberView } from "../ports/telemetry.js";
import type { StoredCursor } from "./cursor-writer.js";
import { settingsInEffect } from "./queue-settings.js";
import { Seeker } from "./seeker.js";
import { SerialByName } from "./serial-by-name.js";
import { deliveryRules, sameRules } from "./settings.js";
import type { BrokerSettings } from "./settings.js";
import { StoredSubscribers } from "./stored-subscribers.js";
import type { StoredSubscriber } from "./stored-subscribers.js";
import { nextTurn } from "./log-headers.js";
import { checkSubscriberClaims } from "./subscriber-claims.js";
import { findStart, startOffset } from "./start-offset.js";
import { subscriberKey } from "./state-keys.js";
import { SubscriberExpiry } from "./subscriber-expiry.js";
import type { DurableSubscriber, Joined, SubscribersParts } from "./subscribers-parts.js";
import { subscriberView } from "./subscriber-view.js";
import { encodeSubscriberRecord } from "./subscriber-record.js";
import type { SubscriberRecord } from "./subscriber-record.js";
import type { NewSubscriber, SubscriberUpdate } from "./subscriber-api.js";
import { changesText, NOTHING_SET } from "./subscriber-settings.js";
import type { OwnSubscriberSettings } from "./subscriber-settings.js";
import { deletedError } from "./subscription-errors.js";
import { changedRecord, changeTexts, checkSame, newRecord } from "./subscriber-update.js";
import type { SubscriberHome } from "./subscriber-update.js";
import { TrimFloors } from "./trim-floors.js";
import { SubscriptionDriver } from "./subscription-driver.js";
import type { DriverOwner } from "./driver-owner.js";

/** A durable subscriber's default; an ephemeral one begins with what comes. */
const DURABLE_START: StartPoint = { kind: "earliest" };
const EPHEMERAL_START: StartPoint = { kind: "latest" };

/** The subscriptions of one queue: every durable subscriber, asleep or not, and the ephemeral ones that have a session. */
export class Subscribers {
  private readonly durable = new Map<string, DurableSubscriber>();
  /** Subscriptions with a session, durable and ephemeral: a publish costs nothing for those that sleep. */
  private readonly awake = new Set<SubscriptionDriver>();
  private readonly floors = new TrimFloors();
  private readonly serial = new SerialByName();
  private readonly owner: DriverOwner<SubscriptionDriver>;
  private readonly stored: StoredSubscribers;
  /** When they had clients, and who is abandoned. */
  readonly expiry: SubscriberExpiry;
  readonly seeker: Seeker;
  /** What holds for the queue. */
  private settings: BrokerSettings;

  constructor(private readonly parts: SubscribersParts) {
    this.settings = parts.settings;
    this.stored = new StoredSubscribers(parts.queue, parts.state);
    this.expiry = new SubscriberExpiry({
      ...parts,
      expireAfterMs: (name) => settingsInEffect(this.settings, this.ownOf(name)).expireAfterMs,
      expire: (name) => this.serial.run(name, () => this.expire(name)),
    });
    this.seeker = new Seeker(parts, this.floors, (name, work) => this.serial.run(name, () => Promise.resolve().then(() => work(this.get(name).driver))));
    this.owner = {
      cursorSaved: parts.cursorSaved,
      sessionOver: parts.sessionOver,
      awoke: (driver) => {
        this.awake.add(driver);
        if (this.durable.get(driver.name)?.driver === driver) this.expiry.connected(driver.name);
      },
      emptied: (driver) => {
        this.awake.delete(driver);
        if (this.durable.get(driver.name)?.driver === driver) this.expiry.gone(driver.name);
        if (driver.name === "") driver.close(deletedError(parts.queue, driver.name));
      },
      cursorLost: (driver) => {
        this.reload(driver.name);
      },
    };
  }

  /** Loads every durable subscriber. Once, before anything else. */
  async load(): Promise<void> {
    for await (const stored of this.stored.all()) await this.restore(stored);
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
    for (const [name, { driver }] of this.durable) yield subscriberView(name, driver);
  }

  /** The filters of all durable subscribers. */
  *filters(): Iterable<EventFilter> {
    for (const { driver } of this.durable.values()) yield driver.filters.current;
  }

  /** Everything up to it is settled by every durable subscriber, or, while there is none, purged. */
  settledThrough(): Offset {
    return this.floors.lowest(Array.from(this.durable.values(), ({ driver }) => driver.committedOffset())) ?? this.parts.log.purgedThrough;
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

  /** Every subscription lets go of what was dropped, one a turn, since one that is far behind has much to let go of. */
  async passPurged(): Promise<void> {
    const all = new Set(this.awake);
    for (const { driver } of this.durable.values()) all.add(driver);
    for (const driver of all) if (await driver.passPurged()) await nextTurn(this.parts.turns);
  }

  /** The durable subscriber that `open` names, made if there is none, or an ephemeral one. */
  async join(open: OpenSession): Promise<Joined> {
    const filter = EventFilter.parse(open.events);
    if (open.subscriber === "") return { driver: await this.makeEphemeral(open, filter), created: true, settings: () => this.settings };
    const settings = (): BrokerSettings => settingsInEffect(this.settings, this.ownOf(open.subscriber));
    return this.serial.run(open.subscriber, async () => {
      const known = this.durable.get(open.subscriber);
      if (known !== undefined) checkSubscriberClaims(known.record, open);
      this.expiry.announced(open.subscriber);
      const driver = known?.driver ?? (await this.create({ name: open.subscriber, events: filter.patterns, createTimeMs: this.parts.clock.wall(), start: open.start ?? DURABLE_START, own: NOTHING_SET, pause: undefined }, "open"));
      return { driver, created: known === undefined, settings };
    });
  }

  /** A subscriber made by an operator; the one that is there, if it is what is asked for, and SUBSCRIBER_EXISTS and the like otherwise. */
  async make(request: NewSubscriber): Promise<DurableSubscriber> {
    return this.serial.run(request.name, async () => {
      const known = this.durable.get(request.name);
      if (known === undefined) await this.create(newRecord(this.home, request, this.parts.clock.wall()), "subscriber");
      else checkSame(known.record, known.driver.counts().pause, request);
      return this.get(request.name);
    });
  }

  /** Changes a subscriber, for open sessions at once; durable when it resolves. */
  async update(update: SubscriberUpdate): Promise<DurableSubscriber> {
    return this.serial.run(update.name, async () => {
      const { record: before, driver } = this.get(update.name);
      const { pause } = driver.counts();
      const record = changedRecord(this.home, before, pause, update, this.parts.clock.wall());
      const texts = changeTexts(before, pause, record, this.settings);
      if (texts.events !== "") driver.changeFilter(EventFilter.parse(record.events), texts.events);
      if (texts.settings !== "") driver.changeRules(this.rulesOf(record.own), texts.settings);
      if (texts.pause !== "") driver.post({ type: "pause_changed", pause: record.pause, detail: texts.pause });
      this.durable.set(update.name, { record, driver });
      this.expiry.rearm();
      if (texts.events !== "") this.parts.changed();
      const bytes = encodeSubscriberRecord(record);
      if (!bytes.equals(encodeSubscriberRecord(before))) await driver.keep({ key: subscriberKey(update.name), value: bytes });
      return this.get(update.name);
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
    return this.serial.run(name, () => this.remove(name));
  }

  /** Deletes a subscriber that is still without a client for longer than it may, and says how it was. */
  private async expire(name: string): Promise<SubscriberView | undefined> {
    const driver = this.durable.get(name)?.driver;
    if (!this.expiry.isDue(name) || driver?.sessionCount !== 0) return undefined;
    const view = subscriberView(name, driver);
    await this.remove(name);
    return view;
  }

  private async remove(name: string): Promise<void> {
    const { driver } = this.get(name);
    this.durable.delete(name);
    this.expiry.forget(name);
    driver.close(deletedError(this.parts.queue, name));
    this.parts.telemetry.forgetSubscriber(this.parts.queue, name);
    this.parts.changed();
    await this.stored.remove(name);
  }

  /** What holds for one subscriber. */
  settingsOf(record: SubscriberRecord): BrokerSettings {
    return settingsInEffect(this.settings, record.own);
  }

  /** Other settings hold for the queue from now on: who inherits them is told. */
  settingsChanged(settings: BrokerSettings): void {
    const before = this.settings;
    this.settings = settings;
    const drivers = new Set([...this.awake, ...[...this.durable.values()].map(({ driver }) => driver)]);
    for (const driver of drivers) {
      const own = this.ownOf(driver.name);
      const detail = changesText(settingsInEffect(before, own), settingsInEffect(settings, own));
      if (detail !== "") driver.changeRules(this.rulesOf(own), detail);
    }
    this.expiry.rearm();
  }

  /** Brings up to date what was being made while settings changed. */
  refresh(driver: SubscriptionDriver): void {
    const rules = this.rulesOf(this.ownOf(driver.name));
    if (!sameRules(rules, driver.rules)) driver.changeRules(rules, "");
  }

  /** Ends every session with this error. What is stored stays. */
  close(error: BrokerError): void {
    this.expiry.stop();
    for (const driver of [...this.awake]) driver.close(error);
    for (const { driver } of this.durable.values()) driver.close(error);
  }

  /** Resolves when everything settled so far is durable. */
  async flush(): Promise<void> {
    await Promise.all([this.expiry.flush(), ...[...this.durable.values()].map(({ driver }) => driver.flush())]);
  }

  private get home(): SubscriberHome {
    const { queue, ordered } = this.parts;
    return { queue, ordering: ordered ? "ORDERED" : "UNORDERED", settings: this.settings };
  }

  private ownOf(name: string): OwnSubscriberSettings {
    return this.durable.get(name)?.record.own ?? NOTHING_SET;
  }

  private rulesOf(own: OwnSubscriberSettings): DeliveryRules {
    return deliveryRules(settingsInEffect(this.settings, own));
  }

  private async restore({ record, cursorBytes, cursor, presence }: StoredSubscriber): Promise<void> {
    const { log, clock } = this.parts;
    const settings = this.subscriptionSettings(record.name, EventFilter.parse(record.events), record.own);
    const machine = Subscription.restore(settings, cursorBytes, offset(log.head().next - 1), clock.now(), this.tally(record.name), this.parts.sharedTurns.budget);
    const driver = this.keep(record, settings, machine, cursor);
    this.expiry.add(record.name, presence, record.createTimeMs);
    // Its own cursor may not have been stored before a crash.
    await driver.passPurged();
  }

  private keep(record: SubscriberRecord, settings: SubscriptionSettings, machine: Subscription, stored: StoredCursor): SubscriptionDriver {
    const driver = new SubscriptionDriver(settings, machine, this.parts, this.owner, stored);
    this.durable.set(record.name, { record, driver });
    this.refresh(driver);
    if (record.pause !== undefined) driver.post({ type: "pause_changed", pause: record.pause, detail: "" });
    this.parts.changed();
    return driver;
  }

  /** @param message who says in a request where it begins */
  private async create(record: SubscriberRecord, message: string): Promise<SubscriptionDriver> {
    const { name } = record;
    await this.stored.removeDeadLetters(name);
    const start = await findStart(record.start, this.parts);
    await this.parts.trimIdle();
    const after = startOffset(start, message, this.parts);
    const settings = this.subscriptionSettings(name, EventFilter.parse(record.events), record.own);
    const machine = Subscription.begin(settings, after, offset(this.parts.log.head().next - 1), this.tally(name), this.parts.sharedTurns.budget);
    const release = this.floors.hold(after);
    try {
      const stored = await this.stored.create(record, machine.encodeCursor().bytes);
      const driver = this.keep(record, settings, machine, stored);
      this.expiry.add(name, { kind: "never" }, record.createTimeMs);
      // A purge may have come while it was made.
      await driver.passPurged();
      return driver;
    } finally {
      release();
    }
  }

  private async makeEphemeral(open: OpenSession, filter: EventFilter): Promise<SubscriptionDriver> {
    const settings = { ...this.subscriptionSettings("", filter, NOTHING_SET), ephemeral: true };
    const after = startOffset(await findStart(open.start ?? EPHEMERAL_START, this.parts), "open", this.parts);
    const machine = Subscription.begin(settings, after, offset(this.parts.log.head().next - 1), this.tally(""), this.parts.sharedTurns.budget);
    return new SubscriptionDriver(settings, machine, this.parts, this.owner, undefined);
  }

  private tally(name: string): SubscriptionTally {
    return this.parts.telemetry.subscriber(this.parts.queue, name);
  }

  private subscriptionSettings(name: string, filter: EventFilter, own: OwnSubscriberSettings): SubscriptionSettings {
    return { ...this.rulesOf(own), name, filter, ordered: this.parts.ordered, ephemeral: false };
  }

  /** Loads a subscriber whose driver is over from what is stored now. Whoever opens a session meanwhile waits. */
  private reload(name: string): void {
    const release = this.floors.hold(offset(0));
    this.durable.delete(name);
    this.serial
      .run(name, async () => {
        const stored = await this.stored.get(name);
        if (stored !== undefined) await this.restore(stored);
        release();
      })
      .catch((error: unknown) => {
        this.parts.journal.error("a subscriber cannot be loaded again; nothing is trimmed until the server is restarted", { subscriber: name, error });
      });
  }
}
