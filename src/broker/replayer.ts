import type { BrokerError } from "../core/errors.js";
import type { NewMessage } from "../core/message.js";
import { offset } from "../core/units.js";
import type { Offset } from "../core/units.js";
import { StateCorrupt } from "../ports/state.js";
import type { State } from "../ports/state.js";
import type { Turns } from "../ports/turns.js";
import type { PublishFrame, PublishOutcome } from "./api.js";
import { readableHeaders } from "./log-headers.js";
import type { QueueLog } from "./queue-log.js";
import { readReplayRecord, replayPut } from "./replay-record.js";
import type { ReplayUnderWay } from "./replay-record.js";
import { deadLetterKey } from "./state-keys.js";
import type { SubscriptionDriver } from "./subscription-driver.js";
import { movedError } from "./subscription-errors.js";

/** What a replayer works with. */
export interface ReplayerParts {
  readonly queue: string;
  readonly log: QueueLog;
  readonly state: State;
  readonly turns: Turns;
  readonly publish: (frame: PublishFrame, done: (outcome: PublishOutcome) => void) => unknown;
  /** Waits for a durable subscriber that is being loaded; undefined: there is none of that name. */
  readonly driver: (subscriber: string) => Promise<SubscriptionDriver | undefined>;
  /** Why nothing may be stored any more: the queue was deleted, or the broker ends. */
  readonly closedBy: () => BrokerError | undefined;
}

/** A dead letter that is to be delivered again. */
export interface ReplayedLetter {
  readonly at: Offset;
  readonly message: NewMessage;
  /** Where it was first published. */
  readonly originOffset: Offset;
}

/**
 * Brings dead letters back to the end of their queue, a slice at a time, in three steps: a record says which letters are under
 * way, and from where on their copies will be; the copies are appended, all or none; one commit removes the letters and ends
 * the record. After a crash the log says whether the copies are there, and only then the letters go. So no letter is lost, and
 * none is replayed twice. Whoever calls sees to it that one slice of a queue is under way at a time.
 */
export class Replayer {
  private through = offset(0);
  private underWay: ReplayUnderWay | undefined;

  constructor(private readonly parts: ReplayerParts) {}

  /** Reads how replays stand, and ends the one that a crash cut short. Before anything is delivered. */
  async load(): Promise<void> {
    const { through, underWay } = await readReplayRecord(this.parts.state);
    this.copiesReach(through);
    this.underWay = underWay;
    await this.finish();
  }

  /** Says where the first copy is; the others follow it. BrokerError of the publish that was refused, or SUBSCRIPTION_MOVED. */
  async replay(driver: SubscriptionDriver, letters: readonly ReplayedLetter[]): Promise<Offset> {
    const { state, log } = this.parts;
    this.checkOpen();
    const underWay = { subscriber: driver.name, letters: letters.map(({ at }) => at), from: log.head().next };
    this.underWay = underWay;
    await state.commit([replayPut({ through: this.through, underWay })]);
    const outcome = await this.append(driver.name, letters);
    if (!outcome.ok) {
      await this.finish();
      throw outcome.error;
    }
    await this.remove(driver, underWay.letters);
    return outcome.firstOffset;
  }

  /** Ends a replay of which it is not known how far it came, if there is one. Before another one. */
  async finish(): Promise<void> {
    const { underWay } = this;
    if (underWay === undefined) return;
    this.checkOpen();
    const last = await this.lastCopy(underWay.from);
    if (last !== undefined) this.copiesReach(last);
    const driver = last === undefined ? undefined : await this.parts.driver(underWay.subscriber);
    if (driver === undefined) {
      this.checkOpen();
      await this.parts.state.commit([replayPut({ through: this.through, underWay: undefined })]);
      this.underWay = undefined;
    } else await this.remove(driver, await this.present(underWay));
  }

  private append(addressee: string, letters: readonly ReplayedLetter[]): Promise<PublishOutcome> {
    const { queue, publish } = this.parts;
    const messages = letters.map(({ message }) => message);
    const replay = { addressee, origins: letters.map(({ originOffset }) => originOffset) };
    return new Promise((resolve) => {
      publish({ queue, messages, expectedLastOffset: undefined, independent: false, replay }, (outcome) => {
        // Before anybody is told of the new head: who counts what is ahead must know of copies there.
        if (outcome.ok) this.copiesReach(offset(outcome.firstOffset + letters.length - 1));
        resolve(outcome);
      });
    });
  }

  private async remove(driver: SubscriptionDriver, letters: readonly Offset[]): Promise<void> {
    if (!(await driver.removeLetters(letters, [replayPut({ through: this.through, underWay: undefined })]))) {
      throw this.parts.closedBy() ?? movedError(driver.name);
    }
    this.underWay = undefined;
  }

  /** The last copy at or behind an offset. What cannot be read holds none: then the letters stay. */
  private async lastCopy(from: Offset): Promise<Offset | undefined> {
    const { log, turns } = this.parts;
    let found: Offset | undefined;
    for await (const { first, addressee } of readableHeaders(log, from, () => log.head().next, turns)) {
      const index = addressee?.findLastIndex((name) => name !== "") ?? -1;
      if (index >= 0) found = offset(first + index);
    }
    return found;
  }

  /** Those letters of a replay that are still there. */
  private async present({ subscriber, letters }: ReplayUnderWay): Promise<readonly Offset[]> {
    const { state } = this.parts;
    const present: Offset[] = [];
    for (const at of letters) {
      try {
        if ((await state.get(deadLetterKey(subscriber, at))) !== undefined) present.push(at);
      } catch (error) {
        if (!(error instanceof StateCorrupt)) throw error;
        present.push(at);
      }
    }
    return present;
  }

  private copiesReach(last: Offset): void {
    this.through = last;
    this.parts.log.copiesReach(last);
  }

  private checkOpen(): void {
    const error = this.parts.closedBy();
    if (error !== undefined) throw error;
  }
}
