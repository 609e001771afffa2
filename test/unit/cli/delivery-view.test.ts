import { expect } from "chai";
import { deliveryJson, DeliveryView } from "../../../src/cli/delivery-view.js";
import type { Delivery } from "../../../src/client/index.js";

const PLAIN = (_tone: string, text: string): string => text;
const MARKED = (tone: string, text: string): string => (text === "" ? "" : `<${tone}>${text}</>`);

function delivery(fields: Partial<Delivery> = {}): Delivery {
  const plain = {
    offset: 12,
    event: "order.created",
    payload: Buffer.from('{"id":42}'),
    headers: {},
    messageId: "",
    orderingKey: "",
    publishTime: new Date(2026, 10, 23, 9, 5, 7, 250),
    originOffset: 0,
    attempt: 1,
    deliveryCount: 1,
    cause: "NEW",
    lastReason: "",
    ...fields,
  };
  return plain as unknown as Delivery;
}

describe("delivery as JSON", () => {
  const parsed = (fields: Partial<Delivery>): Record<string, unknown> => JSON.parse(deliveryJson("orders", delivery(fields))) as Record<string, unknown>;

  it("is one line, with a text payload as text", () => {
    const line = deliveryJson("orders", delivery({ payload: Buffer.from("two\nlines, é") }));
    expect(line).to.not.include("\n");
    expect(JSON.parse(line)).to.include({ queue: "orders", offset: 12, event: "order.created", payload: "two\nlines, é", attempt: 1, cause: "NEW" });
  });

  it("puts bytes that are no UTF-8 under another name, in base64", () => {
    const bytes = Buffer.from([0xff, 0xfe, 0x00]);
    expect(parsed({ payload: bytes })).to.include({ payload_base64: bytes.toString("base64") }).and.not.have.property("payload");
  });

  it("leaves out what is empty, but not an empty payload", () => {
    expect(parsed({ payload: Buffer.alloc(0) })).to.include({ payload: "" });
    expect(parsed({})).to.not.have.any.keys("headers", "message_id", "ordering_key", "last_reason");
    expect(parsed({ messageId: "m", orderingKey: "k", headers: { a: "1" }, lastReason: "busy" })).to.deep.include({
      message_id: "m",
      ordering_key: "k",
      headers: { a: "1" },
      last_reason: "busy",
    });
  });
});

describe("delivery for people", () => {
  const lines = (fields: Partial<Delivery>, columns = 80): string[] => new DeliveryView(PLAIN).lines(delivery(fields), columns);

  it("is one line where everything fits", () => {
    expect(lines({})).to.deep.equal(['09:05:07  #12  order.created  {"id":42}']);
  });

  it("keeps its columns aligned with what came before", () => {
    const view = new DeliveryView(PLAIN);
    view.lines(delivery({ offset: 12_345, event: "a.rather.long.event" }), 100);
    expect(view.lines(delivery({ offset: 7, event: "ping" }), 100)).to.deep.equal(['09:05:07      #7  ping                 {"id":42}']);
  });

  it("lays JSON out over several lines where it does not fit", () => {
    expect(lines({ payload: Buffer.from('{"id":42,"tags":["a","b"]}') }, 40)).to.deep.equal([
      "09:05:07  #12  order.created",
      "               {",
      '                 "id": 42,',
      '                 "tags": [',
      '                   "a",',
      '                   "b"',
      "                 ]",
      "               }",
    ]);
  });

  it("shows key, id, headers and the story of a redelivery below", () => {
    const fields = { orderingKey: "k", messageId: "m", headers: { source: "shop" }, attempt: 2, deliveryCount: 3, cause: "RETRY", lastReason: "busy" };
    expect(lines(fields)[1]).to.equal("               attempt 2, delivery 3 (retry: busy) · key k · id m · source=shop");
  });

  it("names the size of bytes that are no text, and shows where a payload is empty", () => {
    expect(lines({ payload: Buffer.from([0xff, 0x00]) })[0]).to.match(/\(2 bytes\) \/wA=$/);
    expect(lines({ payload: Buffer.alloc(0) })[0]).to.match(/\(empty\)$/);
  });

  it("never lets a message speak to the terminal", () => {
    const escape = "\u001b[31m\u0007\u009b";
    const shown = lines({ payload: Buffer.from(`a${escape}`), messageId: `id${escape}`, headers: { h: "x\ny" }, lastReason: escape, attempt: 2 }).join("\n");
    expect(shown).to.match(/a\\x1b\[31m\\x07\\x9b/);
    expect(shown).to.include("h=x\\ny");
    expect([...shown].filter((character) => character < " " && character !== "\n")).to.deep.equal([]);
  });

  it("shows only the beginning of a payload that would flood the terminal", () => {
    const shown = lines({ payload: Buffer.from(Array.from({ length: 500 }, (_, i) => `line ${i}`).join("\n")) });
    expect(shown).to.have.length(42);
    expect(shown.at(-1)).to.match(/… 460 more lines$/);
  });

  it("paints its parts", () => {
    expect(new DeliveryView(MARKED).lines(delivery(), 80)[0]).to.equal('<dim>09:05:07</>  <number>#12</>  <name>order.created</>  <plain>{"id":42}</>');
  });
});
