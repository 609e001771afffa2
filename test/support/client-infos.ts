import type { ClientInfo } from "../../src/client/index.js";

/** A client as a broker shows it; say only what matters. */
export function clientInfo(parts: Partial<ClientInfo> = {}): ClientInfo {
  return {
    sessionId: "899473f8119ca4e134db5556005095d1",
    kind: "STREAM",
    clientId: "worker-1",
    peer: "127.0.0.1:50122",
    queue: "orders",
    subscriber: "billing",
    events: ["order.*"],
    ackMode: "EXPLICIT",
    sharing: "SHARED",
    standby: false,
    draining: false,
    inFlightCount: 3,
    maxInFlightMessages: 1_000,
    inFlightBytes: 120,
    maxInFlightBytes: 8_388_608,
    paused: false,
    backlogCount: 12,
    waitingFor: "",
    connectTime: new Date(Date.UTC(2026, 0, 10, 11, 58)),
    lastFrameTime: new Date(Date.UTC(2026, 0, 10, 11, 59)),
    labels: {},
    userAgent: "grpc-node-js/1",
    ...parts,
  };
}
