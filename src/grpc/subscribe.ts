import { SubscribeRequest } from "../../generated/tidemark/v1/subscribe.js";
import type { BrokerApi, Session } from "../broker/api.js";
import { BrokerError } from "../core/errors.js";
import { LIMITS } from "../core/limits.js";
import type { OpenSession } from "../core/session.js";
import { monotonicMs } from "../core/units.js";
import type { Clock } from "../ports/clock.js";
import type { Journal } from "../ports/journal.js";
import { ReadGate } from "./call-flow.js";
import type { OpenCall, RawCall } from "./call-flow.js";
import { decodeRequest } from "./codec.js";
import type { Connection, Connections } from "./connections.js";
import { flowWindow, settlement } from "./from-wire.js";
import { openSession, sessionOrigin } from "./open-from-wire.js";
import { SessionFrames } from "./session-frames.js";
import { asBrokerError } from "./status.js";

/**
 * How long the end of a stream stays in doubt. A client that cancels may finish its side first and reset it a moment later
 * (Node's HTTP/2 does, in two packets), and grpc-js tells every abort as an end first. What is held comes back uncounted after
 * a half-close and counted after a cancel, so the decision waits; a half-close loses nothing by it.
 */
const HALF_CLOSE_DOUBT_MS = 50;

/**
 * How much longer it stays in doubt while something is held and nobody had asked for a drain. A client that stalls between the
 * two packets resets late, and what its cancel leaves behind would go uncounted.
 */
const HELD_DOUBT_MS = 1_000;

/** What a Subscribe call needs of its server. */
export interface SubscribeContext {
  readonly broker: BrokerApi;
  readonly clock: Clock;
  readonly journal: Journal;
  readonly connections: Connections;
}

/**
 * One Subscribe call, from the client to the broker: frames become calls of the session. The other direction is SessionFrames.
 *
 *     waiting --open--> opening --> open --> over
 *
 * In `opening` nothing is read, so that what follows `open` meets a session. `over` is final: whatever comes then is dropped.
 */
export class SubscribeCall implements OpenCall {
  private state: "waiting" | "opening" | "open" | "over" = "waiting";
  private session: Session | undefined;
  /** What a session that opens when the call is over has to hear. */
  private farewell: (session: Session) => void = () => undefined;
  private readonly connection: Connection | undefined;
  private readonly frames: SessionFrames;
  private readonly gate: ReadGate<"opening" | "unread answers">;
  private cancelWake: () => void;
  /** The client asked for no more deliveries: it was about to go. */
  private drains = false;

  /** @param onOver called once, when the call needs nothing more */
  constructor(
    private readonly call: RawCall,
    private readonly context: SubscribeContext,
    private readonly onOver: () => void,
  ) {
    this.gate = new ReadGate(call);
    this.connection = context.connections.from(call.getPeer());
    this.frames = new SessionFrames(call, context.broker.durability, {
      transportChanged: (ready) => this.session?.transportChanged(ready),
      taken: (batchId) => this.session?.taken(batchId),
      answersUnread: (many) => {
        if (many) this.gate.hold("unread answers");
        else this.gate.release("unread answers");
      },
      ended: () => {
        this.finish();
      },
      failed: (error) => {
        this.fail(asBrokerError(error, context.journal, "Subscribe"));
      },
    });
    this.cancelWake = this.wakeIn(LIMITS.firstFrameMs, () => {
      this.fail(new BrokerError("OPEN_TIMEOUT", `no open frame came within ${LIMITS.firstFrameMs} ms`));
    });
    call.on("data", (bytes: Buffer) => {
      this.received(bytes);
    });
    call.on("end", () => {
      if (this.state === "over") return;
      this.cancelWake();
      this.stayInDoubt(HALF_CLOSE_DOUBT_MS, () => {
        this.finishing();
      });
    });
    call.on("cancelled", () => {
      this.lost();
    });
  }

  /** Sessions are told by the broker; a call without one ends at once. */
  drain(error: BrokerError): void {
    if (this.state === "waiting") this.fail(error);
  }

  private received(bytes: Buffer): void {
    if (this.state === "over") return;
    try {
      this.dispatch(decodeRequest(SubscribeRequest, "SubscribeRequest", bytes));
    } catch (error) {
      this.fail(asBrokerError(error, this.context.journal, "Subscribe"));
    }
  }

  private dispatch(request: SubscribeRequest): void {
    const { frame } = request;
    const session = this.session;
    if (frame === undefined) {
      throw new BrokerError("UNKNOWN_FRAME", "the frame is empty, or of a kind that this server does not know: open, settle, flow, drain, ping");
    }
    if (session === undefined) {
      if (frame.$case !== "open") throw openExpected(frame.$case);
      this.open(openSession(frame.value, sessionOrigin(this.call)));
      return;
    }
    session.heard();
    switch (frame.$case) {
      case "open":
        throw new BrokerError("ALREADY_OPEN", `the stream is open as session ${session.id}; a second subscriber needs a stream of its own`);
      case "settle":
        session.settle(request.requestId, settlement(frame.value));
        return;
      case "flow":
        session.flow(flowWindow(frame.value));
        return;
      case "drain":
        this.drains = true;
        session.drain();
        return;
      case "ping":
        session.ping();
    }
  }

  private open(settings: OpenSession): void {
    this.state = "opening";
    this.cancelWake();
    this.gate.hold("opening");
    this.frames.textView = settings.textView;
    this.frames.confirmsTaking = settings.ackMode === "AUTO";
    this.context.broker.openSession(settings, this.frames).then(
      (session) => {
        this.opened(session);
      },
      (error: unknown) => {
        this.fail(asBrokerError(error, this.context.journal, "Subscribe"));
      },
    );
  }

  private opened(session: Session): void {
    if (this.state === "over") {
      this.farewell(session);
      return;
    }
    this.state = "open";
    this.session = session;
    this.frames.announce();
    this.gate.release("opening");
  }

  private finishing(): void {
    if (this.session === undefined) {
      this.fail(openExpected("the end of the stream"));
      return;
    }
    // The session ends here when it holds nothing, and the doubt with it.
    this.session.finishing();
    if (this.drains) this.session.halfClosed();
    else this.stayInDoubt(HELD_DOUBT_MS, () => this.session?.halfClosed());
  }

  /** Decides later what the end of the stream was, unless a reset comes before that. */
  private stayInDoubt(ms: number, decide: () => void): void {
    if (this.state === "over") return;
    this.cancelWake = this.wakeIn(ms, () => {
      // After a stall the time is up before the reset that has long arrived is read; one turn later it is.
      setImmediate(() => {
        if (this.state !== "over") decide();
      });
    });
  }

  private wakeIn(ms: number, f: () => void): () => void {
    const { clock } = this.context;
    return clock.wakeAt(monotonicMs(clock.monotonic() + ms), f);
  }

  private lost(): void {
    if (this.state === "over") return;
    this.finish();
    const reason = this.connection?.destroyed === true ? "CONNECTION_LOST" : "CANCELLED";
    this.leave((session) => {
      session.lost(reason);
    });
  }

  /** Ends the stream with an error of the client's making, or ours. What the session holds is free at once. */
  private fail(error: BrokerError): void {
    if (this.state === "over") return;
    this.frames.end(error);
    this.leave((session) => {
      session.failed(error);
    });
  }

  private leave(farewell: (session: Session) => void): void {
    if (this.session === undefined) this.farewell = farewell;
    else farewell(this.session);
  }

  private finish(): void {
    if (this.state === "over") return;
    this.state = "over";
    this.cancelWake();
    this.frames.stop();
    this.onOver();
  }
}

function openExpected(got: string): BrokerError {
  return new BrokerError("OPEN_EXPECTED", `the first frame of a Subscribe stream is open; got ${got}`);
}
