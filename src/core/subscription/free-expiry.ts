import type { OffsetRanges } from "../offset-ranges.js";
import type { Offset } from "../units.js";
import type { LoadedChunk } from "./loaded-chunks.js";
import type { ReturnedGroup, ReturnedMessages } from "./returned-messages.js";
import type { SubscriptionState } from "./subscription-state.js";
import { FRESH } from "./trouble.js";

/** What expires where messages follow one another freely: settled at once, or it leaves for the dead letters when there is room. */
export class FreeExpiry {
  constructor(
    private readonly state: SubscriptionState,
    private readonly unsettled: OffsetRanges,
    private readonly returns: ReturnedMessages,
  ) {}

  /** A message that came back has expired; false when it has to stay where it is until more dead letters are stored. */
  takesReturned(group: ReturnedGroup, at: Offset): boolean {
    const { state } = this;
    if (state.keepsExpired && state.buriesNoMore) return false;
    this.returns.remove(group, at, at);
    if (state.keepsExpired) state.buryExpired(at, group);
    else {
      this.unsettled.remove(at, at);
      state.noteExpired(1);
    }
    return true;
  }

  /** The same with one that was never handed out. */
  takesNew(at: Offset): boolean {
    const { state } = this;
    if (!state.keepsExpired) state.noteExpired(1);
    else if (state.buriesNoMore) return false;
    else {
      this.unsettled.add(at, at);
      state.buryExpired(at, FRESH);
    }
    return true;
  }

  /** The next message, in this chunk, has to wait so. */
  holdsUp(loaded: LoadedChunk): boolean {
    const { state } = this;
    return state.buriesNoMore && state.keepsExpired && loaded.isExpired(state.next - loaded.chunk.first, state.wallMs);
  }
}
