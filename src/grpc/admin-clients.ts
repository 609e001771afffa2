import { DisconnectClientRequest, DisconnectClientResponse, ListClientsRequest, ListClientsResponse } from "../../generated/tidemark/v1/admin_service.js";
import type { BrokerApi } from "../broker/api.js";
import type { ClientInfo } from "../broker/client-api.js";
import { LIMITS } from "../core/limits.js";
import { checkText, invalidField } from "../core/names.js";
import { decodeRequest, encodeMessage } from "./codec.js";
import { page, pageQuery } from "./paging.js";
import { clientResource } from "./to-wire.js";
import { clientFilter } from "./watch-clients.js";

/** Who is connected. One method each: decode, check, ask the broker, encode. */
export class ClientCalls {
  constructor(private readonly broker: BrokerApi) {}

  listClients(bytes: Buffer): Buffer {
    const request = decodeRequest(ListClientsRequest, "ListClientsRequest", bytes);
    const { queue, subscriber } = clientFilter(request);
    const scope = `clients ${request.queue} ${request.subscriber}`;
    const query = pageQuery(scope, request.pageSize, request.pageToken);
    const found = this.clients(queue, subscriber, query.after, query.size + 1);
    const { entries, nextPageToken } = page(scope, query, found, (client) => client.sessionId);
    return encodeMessage(ListClientsResponse, { clients: entries.map(clientResource), nextPageToken });
  }

  disconnectClient(bytes: Buffer): Buffer {
    const request = decodeRequest(DisconnectClientRequest, "DisconnectClientRequest", bytes);
    const session = checkText("session_id", request.sessionId, LIMITS.nameLengthMax);
    if (session === "") throw invalidField("session_id", "", "the session_id of an open session");
    const reason = checkText("reason", request.reason, LIMITS.reasonBytesMax);
    const client = this.broker.disconnectClient(session, reason);
    return encodeMessage(DisconnectClientResponse, { client: clientResource(client) });
  }

  /** Up to `count` clients of one subscriber, or of all: the broker lists by queue. */
  private clients(queue: string | undefined, subscriber: string | undefined, after: string | undefined, count: number): ClientInfo[] {
    const found: ClientInfo[] = [];
    for (let from = after; ; ) {
      const some = this.broker.listClients(queue, from, count);
      for (const client of some) {
        if (subscriber === undefined || client.subscriber === subscriber) found.push(client);
        if (found.length === count) return found;
      }
      const last = some[some.length - 1];
      if (last === undefined || some.length < count) return found;
      from = last.sessionId;
    }
  }
}
