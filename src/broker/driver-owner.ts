import type { LiveSession } from "./live-session.js";
import type { SessionEnd } from "./session-end.js";

/** Who keeps the driver. */
export interface DriverOwner<Driver> {
  /** The committed offset may have moved. */
  cursorSaved(): void;
  /** The first session came. */
  awoke(driver: Driver): void;
  /** The last session has gone. */
  emptied(driver: Driver): void;
  /** The driver is over, its sessions are ended: what is stored has to be loaded again. */
  cursorLost(driver: Driver): void;
  /** Told before anything that the session held is given back. */
  sessionOver(session: LiveSession, end: SessionEnd): void;
}
