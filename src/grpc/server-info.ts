import { GetServerInfoRequest, GetServerInfoResponse } from "../../generated/tidemark/v1/admin_service.js";
import type { ServerLimits } from "../../generated/tidemark/v1/server_info.js";
import type { BrokerApi } from "../broker/api.js";
import { LIMITS } from "../core/limits.js";
import { CAPABILITIES } from "./capabilities.js";
import { decodeRequest, encodeMessage } from "./codec.js";
import { settingsInEffect } from "./settings-to-wire.js";
import { DURABILITIES } from "./to-wire.js";
import { duration, timestamp } from "./wire-numbers.js";

/** GetServerInfo: what runs here and what it accepts. */
export function serverInfo(broker: BrokerApi, version: string, bytes: Buffer): Buffer {
  decodeRequest(GetServerInfoRequest, "GetServerInfoRequest", bytes);
  const { engine, startTimeMs, settings } = broker.serverFacts();
  return encodeMessage(GetServerInfoResponse, {
    server: {
      version,
      engine,
      durability: DURABILITIES[broker.durability],
      limits: serverLimits(),
      capabilities: [...CAPABILITIES],
      subscriberDefaults: settingsInEffect(settings),
      autoCreateQueues: settings.autoCreateQueues,
      startTime: timestamp(startTimeMs),
      nodeId: "",
    },
  });
}

function serverLimits(): ServerLimits {
  return {
    messageBytesMax: BigInt(LIMITS.messageBytesMax),
    batchBytesMax: BigInt(LIMITS.batchBytesMax),
    batchMessagesMax: LIMITS.batchMessagesMax,
    transportBytesMax: BigInt(LIMITS.transportBytesMax),
    headersMax: LIMITS.headersMax,
    headerBytesMax: LIMITS.headerBytesMax,
    nameLengthMax: LIMITS.nameLengthMax,
    eventBytesMax: LIMITS.eventBytesMax,
    eventTokensMax: LIMITS.eventTokensMax,
    filtersMax: LIMITS.filtersMax,
    windowMessagesMax: BigInt(LIMITS.flowMessagesMax),
    windowBytesMax: BigInt(LIMITS.flowBytesMax),
    ackTimeoutMin: duration(LIMITS.ackTimeoutMsMin),
    ackTimeoutMax: duration(LIMITS.ackTimeoutMsMax),
    retryDelayMax: duration(LIMITS.retryDelayMsMax),
    settleRangesMax: LIMITS.settleRangesMax,
  };
}
