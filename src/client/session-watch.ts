import { performance } from "node:perf_hooks";
/** Until the broker has said how often it shows that it lives. */
const DEFAULT_HEARTBEAT_MS = 15_000;
const SILENT_HEARTBEATS_MAX = 3;
const EXTENDS_PER_LEASE = 3;

/** The clocks of one session: a broker that falls silent, and leases to be prolonged in time. */
export class SessionWatch {
  private heartbeatMs = DEFAULT_HEARTBEAT_MS;
  private heardMs = performance.now();
  private suspended = false;
  private silenceTimer: NodeJS.Timeout | undefined;
  private extendTimer: NodeJS.Timeout | undefined;

  /**
   * @param extend called each third of a lease
   * @param silent called once, when nothing was heard for three heartbeats
   */
  constructor(
    private readonly extend: () => void,
    private readonly silent: (silentMs: number) => void,
  ) {
    this.watchSilence();
  }

  /** The session's own values are known. */
  opened(heartbeatMs: number | undefined, ackTimeoutMs: number): void {
    if (heartbeatMs !== undefined) this.heartbeatMs = heartbeatMs;
    this.watchSilence();
    clearInterval(this.extendTimer);
    this.extendTimer = setInterval(this.extend, ackTimeoutMs / EXTENDS_PER_LEASE);
  }

  heard(): void {
    this.heardMs = performance.now();
    this.suspended = false;
  }

  /** This side stopped reading, so silence says nothing until `heard`. */
  suspend(): void {
    this.suspended = true;
  }

  stop(): void {
    clearTimeout(this.silenceTimer);
    clearInterval(this.extendTimer);
  }

  private watchSilence(): void {
    clearTimeout(this.silenceTimer);
    const leftMs = this.heardMs + this.heartbeatMs * SILENT_HEARTBEATS_MAX - performance.now();
    this.silenceTimer = setTimeout(() => this.lookForSilence(), Math.max(1, leftMs));
  }

  private lookForSilence(): void {
    if (this.suspended) this.heardMs = performance.now();
    // If the application kept the process busy, frames may lie unread in the socket: one round of I/O goes first.
    this.silenceTimer = setTimeout(() => {
      const silentMs = performance.now() - this.heardMs;
      if (silentMs >= this.heartbeatMs * SILENT_HEARTBEATS_MAX) this.silent(silentMs);
      else this.watchSilence();
    }, 1);
  }
}
