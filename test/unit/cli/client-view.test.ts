import { expect } from "chai";
import type { ClientEvent } from "../../../src/client/index.js";
import { clientColumns, clientEventJson, clientEventLine, clientJson } from "../../../src/cli/client-view.js";
import { timeOfDay } from "../../../src/cli/quantity.js";
import { tableLines } from "../../../src/cli/table.js";
import { clientInfo } from "../../support/client-infos.js";

const NOW = new Date(Date.UTC(2026, 0, 10, 12));
const plain = (_tone: string, text: string): string => text;

describe("a list of clients for people", () => {
  it("shows who it is, what it holds, how far it lags and what it waits for, in less than 120 columns", () => {
    const [head = "", first = "", second] = tableLines(clientColumns(NOW), [clientInfo({ waitingFor: "UNSETTLED_LIMIT" }), clientInfo({ subscriber: "", clientId: "" })], plain);
    expect(head).to.match(/^SESSION +CLIENT +PEER +QUEUE +SUBSCRIBER +ACKS +IN FLIGHT +LAG +WAITING FOR +SINCE$/);
    expect(first.split(/ {2,}/)).to.deep.equal(["899473f8", "worker-1", "127.0.0.1:50122", "orders", "billing", "explicit", "3/1,000", "12", "unsettled limit", "2m"]);
    expect(second?.split(/ {2,}/).slice(0, 5)).to.deep.equal(["899473f8", "-", "127.0.0.1:50122", "orders", "-"]);
    expect(head.length).to.be.lessThan(120);
  });

  it("says draining and standby rather than what else it waits for", () => {
    const waiting = (parts: Parameters<typeof clientInfo>[0]): string | undefined => clientColumns(NOW).find(({ title }) => title === "WAITING FOR")?.text(clientInfo(parts));
    expect(waiting({ draining: true, waitingFor: "FLOW" })).to.equal("draining");
    expect(waiting({ standby: true, waitingFor: "STANDBY" })).to.equal("standby");
    expect(waiting({})).to.equal("-");
  });
});

describe("an event of a watch", () => {
  const line = (event: ClientEvent): string => clientEventLine(event, NOW, plain);

  it("is one line with the time, who it is, and what it takes", () => {
    expect(line({ type: "joined", client: clientInfo() })).to.equal(`${timeOfDay(NOW)}  joined   899473f8  worker-1  127.0.0.1:50122  orders/billing  order.*, window 1,000`);
    expect(line({ type: "changed", client: clientInfo({ events: [], draining: true, paused: true, standby: true }) })).to.match(/every event, window 1,000, standby, draining, paused$/);
    expect(line({ type: "listed", clientCount: 1 })).to.contain("1 client connected");
  });

  it("says why a client went and what it held, at the time of the broker", () => {
    const time = new Date(NOW.getTime() - 60_000);
    expect(line({ type: "left", client: clientInfo(), reason: "DISCONNECTED", detail: "it hangs", time })).to.match(/^\d\d:59:00 {2}left .* disconnected: it hangs, with 3 messages in flight$/);
    expect(line({ type: "left", client: clientInfo({ inFlightCount: 0 }), reason: "HALF_CLOSED", detail: "", time: undefined })).to.match(/ half closed$/);
  });

  it("lets no stranger's words move the cursor or break the line", () => {
    const detail = "bad\n\u001b[2Jwords";
    expect(line({ type: "left", client: clientInfo({ clientId: "a\u001b[31m" }), reason: "CLIENT_ERROR", detail, time: NOW })).to.contain("client error: bad\\n\\x1b[2Jwords").and.contain("a\\x1b[31m");
  });

  it("is an object with the whole client for programs", () => {
    const client = clientInfo({ waitingFor: "FLOW" });
    expect(clientEventJson({ type: "left", client, reason: "CANCELLED", detail: "", time: NOW }, NOW)).to.deep.equal({
      type: "left",
      time: NOW.toISOString(),
      reason: "CANCELLED",
      leave_time: NOW.toISOString(),
      client: clientJson(client),
    });
    expect(clientJson(client)).to.include({ session_id: client.sessionId, waiting_for: "FLOW", backlog_count: 12, in_flight_bytes: 120, user_agent: "grpc-node-js/1" });
    expect(clientJson(clientInfo())).not.to.have.property("waiting_for");
    expect(clientEventJson({ type: "listed", clientCount: 2 }, NOW)).to.deep.equal({ type: "listed", time: NOW.toISOString(), client_count: 2 });
  });
});
