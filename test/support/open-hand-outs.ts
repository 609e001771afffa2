import type { Delivered, HistoryEvent } from "./history.js";

type SessionEvent = Extract<HistoryEvent, { readonly session: string }>;

/** A frame of verdicts, and how many hand-outs its session had had when it was sent. */
interface Asked {
  readonly offsets: readonly number[];
  readonly place: number;
}

/**
 * What each session was handed and has heard nothing more about: neither a recall nor an answer to a verdict. As long as such a
 * message may come back, it may recall those behind it in its lane.
 */
export class OpenHandOuts {
  /** By session, then by lane: the place of the last hand-out of each offset. */
  private readonly open = new Map<string, Map<string, Map<number, number>>>();
  private readonly asked = new Map<string, Asked>();
  private places = 0;

  constructor(private readonly laneAt: (offset: number) => string) {}

  take(event: SessionEvent): void {
    if (event.type === "delivered") this.lane(event.session, event.offset).set(event.offset, ++this.places);
    else if (event.type === "recalled") this.close(event.session, event.offsets, this.places);
    else if (event.type === "settle_sent") this.asked.set(`${event.session} ${event.requestId}`, { offsets: event.offsets, place: this.places });
    else if (event.type === "settle_confirmed") {
      const asked = this.asked.get(`${event.session} ${event.requestId}`);
      if (asked !== undefined) this.close(event.session, asked.offsets, asked.place);
    }
  }

  /** True when something before it in its lane is open in the session that was handed it. */
  anyBefore({ session, offset }: Delivered): boolean {
    for (const earlier of this.lane(session, offset).keys()) if (earlier < offset) return true;
    return false;
  }

  /** What was handed out again since the verdict was sent stays open. */
  private close(session: string, offsets: readonly number[], place: number): void {
    for (const offset of offsets) {
      const lane = this.lane(session, offset);
      if ((lane.get(offset) ?? Infinity) <= place) lane.delete(offset);
    }
  }

  private lane(session: string, offset: number): Map<number, number> {
    let lanes = this.open.get(session);
    if (lanes === undefined) this.open.set(session, (lanes = new Map<string, Map<number, number>>()));
    const key = this.laneAt(offset);
    let lane = lanes.get(key);
    if (lane === undefined) lanes.set(key, (lane = new Map<number, number>()));
    return lane;
  }
}
