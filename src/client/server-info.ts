import { Durability } from "../../generated/tidemark/v1/message.js";
import type { ServerInfo as WireServerInfo } from "../../generated/tidemark/v1/server_info.js";
import { enumName } from "./enum-name.js";
import { timestampToDate } from "./wire-time.js";

/** What runs at the other end. */
export interface ServerInfo {
  /** As in semver.org. */
  readonly version: string;
  /** Where messages are kept, such as "lmdb" or "memory". */
  readonly engine: string;
  /** What an answer is worth: "FSYNC", "QUORUM" or "MEMORY". */
  readonly durability: string;
  /** What it can do, by name. */
  readonly capabilities: readonly string[];
  /** When the process started. Undefined if the broker did not say. */
  readonly startTime: Date | undefined;
}

export function serverInfo(server: WireServerInfo): ServerInfo {
  return {
    version: server.version,
    engine: server.engine,
    durability: enumName(Durability, server.durability),
    capabilities: server.capabilities,
    startTime: server.startTime === undefined ? undefined : timestampToDate(server.startTime),
  };
}
