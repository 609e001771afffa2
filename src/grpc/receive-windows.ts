import type { Http2Server, ServerHttp2Session } from "node:http2";
import type { Server } from "@grpc/grpc-js";
import { LIMITS } from "../core/limits.js";

/**
 * Lets clients send more than HTTP/2's 64 KiB before the server has read it: with those, a publisher stops for a round trip
 * every few hundred messages. grpc-js has an option for it in its client alone, and keeps the server's HTTP/2 servers to itself;
 * a test holds that this finds them.
 * @param server bound, and not yet connected to
 */
export function widenReceiveWindows(server: Server): void {
  const { http2Servers } = server as unknown as { readonly http2Servers: ReadonlyMap<Http2Server, unknown> };
  for (const http2Server of http2Servers.keys()) {
    http2Server.updateSettings({ initialWindowSize: LIMITS.streamWindowBytes });
    http2Server.on("session", (session: ServerHttp2Session) => {
      session.setLocalWindowSize(LIMITS.connectionWindowBytes);
    });
  }
}
