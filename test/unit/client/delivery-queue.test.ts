import { expect } from "chai";
import { Delivery } from "../../../src/client/delivery.js";
import { DeliveryQueue } from "../../../src/client/delivery-queue.js";

const unused = (): never => {
  throw new Error("a queue asks nothing of its deliveries");
};
const holder = { facts: { batchId: 1, attempt: 1, deliveryCount: 1, cause: "NEW", lastReason: "" }, bytes: Buffer.alloc(0), isHeld: unused, isRecalled: unused, settle: unused, settleConfirmed: unused };
const delivery = (offset: number): Delivery => new Delivery(holder, 0, offset, 0, 0);
const offsetOf = ({ value }: IteratorResult<Delivery, undefined>): number | undefined => value?.offset;

describe("delivery queue", () => {
  it("hands out in order what came early and what came late", async () => {
    const queue = new DeliveryQueue();
    const [first, second] = [queue.next(), queue.next()];
    queue.push([1, 2, 3, 4].map(delivery));
    queue.push([5].map(delivery));
    expect(queue.length).to.equal(3);
    const rest = [queue.next(), queue.next(), queue.next()];
    const late = queue.next();
    queue.push([6, 7].map(delivery));
    expect((await Promise.all([first, second, ...rest, late, queue.next()])).map(offsetOf)).to.deep.equal([1, 2, 3, 4, 5, 6, 7]);
    expect(queue.length).to.equal(0);
  });

  it("takes out what was named, and keeps the order of the others", async () => {
    const queue = new DeliveryQueue();
    queue.push([1, 2, 3].map(delivery));
    queue.push([4, 5].map(delivery));
    expect(offsetOf(await queue.next())).to.equal(1);
    expect(queue.take(({ offset }) => offset % 2 === 0).map(({ offset }) => offset)).to.deep.equal([2, 4]);
    expect(queue.length).to.equal(2);
    expect([await queue.next(), await queue.next()].map(offsetOf)).to.deep.equal([3, 5]);
  });

  it("hands out what is left before it tells of the error, once, and then of the end", async () => {
    const queue = new DeliveryQueue();
    queue.push([1].map(delivery));
    queue.end(new Error("broken"));
    expect(offsetOf(await queue.next())).to.equal(1);
    expect(await queue.next().catch((error: unknown) => error)).to.be.an("error");
    expect(await queue.next()).to.deep.equal({ done: true, value: undefined });
  });
});
