import { messageBytes } from "../chunk.js";
import { offset, type MonotonicMs, type Offset } from "../units.js";
import { BatchDraft, sendBatch } from "./batch-draft.js";
import type { BlockedLanes } from "./blocked-lanes.js";
import type { Return } from "./return.js";
import type { Effect } from "./effects.js";
import { LaneClaims } from "./lane-claims.js";
import { LaneExpiry } from "./lane-expiry.js";
import type { Lane, LaneEntry, Lanes } from "./lanes.js";
import type { LoadedChunk } from "./loaded-chunks.js";
import { ResumableLanes } from "./resumable-lanes.js";
import { RoomWaits } from "./room-waits.js";
import type { SessionState } from "./session-state.js";
import { SessionTurns } from "./session-turns.js";
import type { SubscriptionState } from "./subscription-state.js";
import { FRESH, isSuspect, SOUGHT, troubleKey, type Trouble } from "./trouble.js";

/** A session's batch being filled, with the lane entries that it will lease. */
interface OpenDraft {
  readonly draft: BatchDraft;
  readonly trouble: Trouble;
  readonly key: string;
  readonly entries: LaneEntry[];
}

/** What came of trying to hand out the next message of a lane. */
type Placing =
  | "placed"
  /** Nobody can take it before something else happens; that will name the lane again. */
  | "not now"
  /** No session has room for anything, or the turn is over. */
  | "no room";

/** Hands out what the lanes allow: in one sweep over the log what is behind in those that may go on, then what is new. */
export class LaneHandOut {
  private readonly turns: SessionTurns;
  private readonly drafts = new Map<SessionState, OpenDraft>();
  /** What they wait for, if anything, is found out when they are looked at. */
  private readonly candidates = new ResumableLanes();
  /** Lanes whose next message waits for its retry to be due, by that message. */
  private readonly dueLater = new Map<Offset, Lane>();
  private readonly expiry: LaneExpiry;
  private readonly roomWaits = new RoomWaits();
  /** Lanes whose next message is suspect and waits for a session with nothing in flight. */
  private readonly suspects = new Set<Lane>();
  private readonly claims: LaneClaims;
  /** Where the last sweep was in the log: the next one mostly goes on nearby. */
  private lastSwept: Offset | undefined;
  /** Lanes whose next message goes out when the cursor with its new count is durable. */
  private awaiting: { readonly lane: Lane; readonly version: number }[] = [];
  /** The durable version up to which those were resumed. */
  private countedThrough = 0;
  private now!: MonotonicMs;
  private effects!: Effect[];

  constructor(
    private readonly state: SubscriptionState,
    private readonly lanes: Lanes,
    private readonly returns: Map<Offset, Return>,
    private readonly blocked: BlockedLanes,
    /** A message that may wait to come again is settled. */
    private readonly forget: (message: Offset) => void,
  ) {
    this.turns = new SessionTurns(state);
    this.claims = new LaneClaims(state, lanes);
    this.expiry = new LaneExpiry(state, lanes, this.claims, blocked);
  }

  get awaitsCursor(): boolean { return this.awaiting.some(({ version }) => version > this.state.durableVersion); }

  /** Something that this lane may have waited for has happened, or what was behind in it is gone. */
  mayResume(lane: Lane): void {
    this.roomWaits.set(lane, undefined);
    if (lane.behind > 0 && !this.blocked.stops(lane)) this.candidates.add(lane);
    else this.candidates.delete(lane);
  }

  /** Messages of this lane came back: it goes on further up than it was. */
  goesBack(lane: Lane): void {
    this.roomWaits.set(lane, undefined);
    // What an ended session holds before it comes back too, and names the lane again.
    if (this.blocked.stops(lane) || lane.entries[0]?.session.isOver === true) this.candidates.delete(lane);
    else if (lane.behind > 0) this.candidates.addAgain(lane);
  }

  /** The retry of this message is due. */
  mayResumeAt(message: Offset): void {
    const lane = this.dueLater.get(message);
    this.dueLater.delete(message);
    if (lane?.resumeFrom === message) this.mayResume(lane);
  }

  /** When `resumeExpired` has something to do. */
  get nextExpiry(): MonotonicMs | undefined {
    return this.expiry.nextDue;
  }

  /** Lanes whose next message has expired while it waited for its retry go on. */
  resumeExpired(now: MonotonicMs): void {
    for (const message of this.expiry.due(now)) this.mayResumeAt(message);
  }

  /** Nobody waits for the retries of `first..last` any more. */
  forgetDue(first: Offset, last: Offset): void {
    for (const message of this.dueLater.keys()) if (first <= message && message <= last) this.dueLater.delete(message);
  }

  /** A session may take more, or other, than before. */
  sessionChanged(session: SessionState): void {
    if (!session.canTake) return;
    for (const lane of this.roomWaits.of(session)) this.mayResume(lane);
  }

  /** How many more messages may be in flight, wait for a retry, or be first of a lane with nothing in flight. */
  unsettledRoom(waitingRetries: number): number {
    return this.state.settings.maxUnsettled - this.lanes.handedOut - waitingRetries - this.lanes.stalled;
  }

  run(now: MonotonicMs, waitingRetries: number, effects: Effect[]): void {
    const { state } = this;
    this.now = now;
    this.effects = effects;
    this.turns.begin();
    this.resumeSuspects();
    this.resumeCounted();
    for (const lane of this.expiry.takeHeldUp()) this.mayResume(lane);
    this.expiry.passNew();
    const behind = this.sweep();
    const fresh = this.takeNew(waitingRetries);
    this.sendAll();
    state.wants(behind ?? fresh, effects);
    state.loaded.keep(state.next, this.lanes.anyBehind ? [behind, this.lastSwept].filter((needed) => needed !== undefined) : []);
  }

  /** As many suspects as sessions have nothing in flight. While there is none, one session is kept free for them. */
  private resumeSuspects(): void {
    if (this.suspects.size === 0) return;
    let idle = this.turns.idleCount;
    if (idle === 0) this.turns.reserve();
    for (const lane of this.suspects) {
      if (idle-- <= 0) return;
      this.suspects.delete(lane);
      this.mayResume(lane);
    }
  }

  /** What had to wait until its new count was durable. */
  private resumeCounted(): void {
    const { awaiting, state: { durableVersion } } = this;
    if (awaiting.length === 0 || durableVersion === this.countedThrough) return;
    this.countedThrough = durableVersion;
    this.awaiting = awaiting.filter(({ version }) => version > durableVersion);
    for (const { lane, version } of awaiting) if (version <= durableVersion) this.mayResume(lane);
  }

  /** One pass over the log for all candidates. Returns the offset whose chunk it lacks. */
  private sweep(): Offset | undefined {
    const { state, candidates } = this;
    let at = candidates.start;
    while (at !== undefined && at < state.next) {
      if (this.turns.nextTaker() === undefined) {
        candidates.sweptTo(at);
        return undefined;
      }
      const loaded = state.loaded.find(at);
      if (loaded?.chunk.body === undefined && loaded?.takesNothing !== true) {
        candidates.sweptTo(at);
        const nearest = state.loading === undefined ? candidates.nearestStart() : at;
        if (nearest === at) return at;
        at = nearest;
        continue;
      }
      this.lastSwept = at;
      if (!this.sweepChunk(loaded, at)) return undefined;
      at = offset(loaded.chunk.last + 1);
    }
    // Whatever was behind in them is gone, or was never known for certain.
    for (const lane of candidates.values()) if (!this.blocked.stops(lane)) this.lanes.emptyBehind(lane);
    candidates.clear();
    return undefined;
  }

  /** False when the sweep is over: no candidate is left, or no session has room. */
  private sweepChunk(loaded: LoadedChunk, from: Offset): boolean {
    const { chunk } = loaded;
    for (let index = loaded.nextTaken(from - chunk.first); index < chunk.count; index = loaded.nextTaken(index + 1)) {
      if (this.candidates.size === 0) return false;
      const at = offset(chunk.first + index);
      if (at >= this.state.next) return true;
      const lane = this.lanes.get(chunk.laneHash?.[index] ?? 0n);
      if (lane === undefined || !this.candidates.has(lane) || at < lane.resumeFrom) continue;
      const passing = lane.entries.length === 0 ? this.expiry.passes(lane, loaded, index, this.returns.get(at)) : "stays";
      if (passing !== "stays") {
        if (passing !== "waits") this.forget(at);
        if (passing === "waits" || this.blocked.expiredIn(lane) === lane.behind) this.candidates.delete(lane);
        continue;
      }
      const placing = this.place(lane, loaded, index, at);
      if (placing === "placed") {
        if (lane.behind === 0) this.candidates.delete(lane);
        continue;
      }
      lane.resumeFrom = at;
      if (placing === "no room") {
        this.candidates.sweptTo(at);
        return false;
      }
      this.candidates.delete(lane);
    }
    return this.candidates.size > 0;
  }

  /** Looks at what was never looked at. Returns the offset whose chunk it lacks. */
  private takeNew(waitingRetries: number): Offset | undefined {
    const { state } = this;
    while (state.next <= state.head) {
      if (this.turns.nextTaker() === undefined || this.unsettledRoom(waitingRetries) <= 0) return undefined;
      const loaded = state.loaded.find(state.next);
      if (loaded === undefined || !loaded.isUsable) return state.next;
      const { chunk } = loaded;
      for (let index = loaded.nextTaken(state.next - chunk.first); index < chunk.count; index = loaded.nextTaken(index + 1)) {
        const at = offset(chunk.first + index);
        if (this.unsettledRoom(waitingRetries) <= 0 || !this.takeOne(loaded, index, at)) {
          state.next = at;
          return undefined;
        }
      }
      state.next = offset(chunk.last + 1);
    }
    return undefined;
  }

  /** False when no session has room for it, or it has expired and too much is on its way to the dead letters. */
  private takeOne(loaded: LoadedChunk, index: number, at: Offset): boolean {
    const hash = loaded.chunk.laneHash?.[index] ?? 0n;
    let lane = this.lanes.get(hash);
    const begun = lane === undefined;
    if ((begun && this.claims.settles(hash, at)) || this.expiry.passesNew(lane, loaded, index)) return true;
    if (lane !== undefined && lane.behind > 0) {
      this.lanes.addBehind(lane, at);
      return true;
    }
    if (begun && loaded.isExpired(index, this.state.wallMs)) return false;
    lane ??= this.lanes.begin(hash, at, 0);
    const placing = this.place(lane, loaded, index, at);
    if (placing === "not now") this.lanes.addBehind(lane, at);
    else if (placing === "no room" && begun) this.lanes.emptyBehind(lane);
    return placing !== "no room";
  }

  /** Clients have claimed something: lanes with nothing in flight are looked at for it. */
  claimed(): void {
    this.claims.made();
    for (const lane of this.lanes.values()) if (lane.entries.length === 0) this.mayResume(lane);
  }

  private place(lane: Lane, loaded: LoadedChunk, index: number, at: Offset): Placing {
    if (this.turns.isOver) return "no room";
    // It is settled when it is first.
    if (loaded.isExpired(index, this.state.wallMs)) return "not now";
    const how = this.returns.get(at);
    if (how !== undefined && how.afterVersion > this.state.durableVersion) {
      this.awaiting.push({ lane, version: how.afterVersion });
      return "not now";
    }
    if (how?.due !== undefined && how.due.at > this.now) {
      if (!this.dueLater.has(at)) this.expiry.watch(loaded, index, this.now, how.due.at);
      this.dueLater.set(at, lane);
      return "not now";
    }
    if (how !== undefined && isSuspect(how)) return this.placeAlone(lane, loaded, index, at, how);
    const holder = lane.entries[0]?.session;
    if (holder !== undefined && !this.mayFollow(lane, holder)) return "not now";
    const trouble = how ?? this.state.beginning(at);
    const session = this.roomFor(holder, trouble);
    if (session === undefined) return holder === undefined ? "no room" : "not now";
    return this.draft(session, lane, loaded, index, at, trouble) ? "placed" : this.place(lane, loaded, index, at);
  }

  /** The lane's next message may join those in flight: same session, depth to spare, nothing burying or suspect before it. */
  private mayFollow(lane: Lane, holder: SessionState): boolean {
    if (lane.entries.length >= holder.laneDepth || lane.entries[0]?.status === "burying") return false;
    if (this.turns.mayTake(holder)) return true;
    this.roomWaits.set(lane, holder);
    return false;
  }

  private placeAlone(lane: Lane, loaded: LoadedChunk, index: number, at: Offset, how: Return): Placing {
    if (lane.entries.length > 0) return "not now";
    this.sendAll();
    const session = this.turns.idleTaker();
    if (session === undefined) {
      this.turns.reserve();
      this.suspects.add(lane);
      return "not now";
    }
    this.draft(session, lane, loaded, index, at, how);
    this.send(session, true);
    return "placed";
  }

  /** The session whose turn it is, or that drafts a batch of the same trouble already. Drafts that are full go out on the way. */
  private roomFor(holder: SessionState | undefined, trouble: Trouble): SessionState | undefined {
    const session = holder ?? (trouble === FRESH || trouble === SOUGHT ? undefined : this.drafting(trouble)) ?? this.turns.rotate();
    return session !== undefined && this.turns.mayTake(session) ? session : undefined;
  }

  private drafting(trouble: Trouble): SessionState | undefined {
    const key = troubleKey(trouble);
    for (const [session, open] of this.drafts) if (open.key === key && this.turns.mayTake(session)) return session;
    return undefined;
  }

  /** Adds a message to a session's draft. False when that was full: it is sent, and the room has to be asked for again. */
  private draft(session: SessionState, lane: Lane, loaded: LoadedChunk, index: number, at: Offset, trouble: Trouble): boolean {
    const key = troubleKey(trouble);
    let open = this.drafts.get(session);
    if (open !== undefined && open.key !== key) {
      this.send(session, false);
      return false;
    }
    if (open === undefined) {
      const draft = new BatchDraft(session.messagesRoom, session.settings.maxBatchBytes, session.bytesRoom);
      this.drafts.set(session, (open = { draft, trouble, key, entries: [] }));
    }
    if (!open.draft.take(loaded.chunk, index)) {
      this.send(session, false);
      return false;
    }
    this.state.turn.spend(1, messageBytes(loaded.chunk, index));
    this.returns.delete(at);
    this.claims.handedOut(lane.hash, at);
    open.entries.push(this.lanes.handOut(lane, at, session, lane.behind > 0));
    return true;
  }

  private sendAll(): void {
    for (const session of [...this.drafts.keys()]) this.send(session, false);
  }

  private send(session: SessionState, alone: boolean): void {
    const open = this.drafts.get(session);
    if (open === undefined) return;
    this.drafts.delete(session);
    const batch = sendBatch(session, open.draft, open.trouble, alone, this.now, this.effects);
    for (const entry of open.entries) entry.batch = batch;
    this.turns.served(session);
  }
}
