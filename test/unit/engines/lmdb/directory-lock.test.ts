import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { DataDirectoryError } from "../../../../src/engines/lmdb/data-directory-error.js";
import { DirectoryLock } from "../../../../src/engines/lmdb/directory-lock.js";
import { failure } from "../../../compliance/engine-bench.js";
import { ChildLines } from "../../../support/child-lines.js";
import { newDataDirectory } from "../../../support/data-directory.js";

const HOLDER = new URL("../../../support/engine-process.ts", import.meta.url);

describe("DirectoryLock", function () {
  this.timeout(60_000);
  let directory: Awaited<ReturnType<typeof newDataDirectory>>;
  const children: ChildLines[] = [];
  const start = (): ChildLines => {
    const child = new ChildLines(HOLDER, [directory.path]);
    children.push(child);
    return child;
  };

  beforeEach(async () => {
    directory = await newDataDirectory();
    await mkdir(directory.path);
  });

  afterEach(async () => {
    await Promise.all(children.splice(0).map((child) => child.end()));
    await directory.remove();
  });

  it("refuses a second process in under a second, naming the first and the directory", async () => {
    const holder = start();
    expect(await holder.line(0)).to.equal("open");
    const began = Date.now();
    const error = await failure(DirectoryLock.take(directory.path), DataDirectoryError);
    expect(Date.now() - began).to.be.below(1_000);
    expect(error.message).to.contain(`process ${holder.pid}`).and.to.contain(directory.path);
  });

  it("refuses a process that is already in, too", async () => {
    const lock = await DirectoryLock.take(directory.path);
    expect((await failure(DirectoryLock.take(directory.path), DataDirectoryError)).message).to.contain(`process ${process.pid}`);
    await lock.release();
  });

  it("counts a process that is stopped as holding the lock, and answers in under a second all the same", async () => {
    const holder = start();
    await holder.line(0);
    holder.signal("SIGSTOP");
    const began = Date.now();
    expect((await failure(DirectoryLock.take(directory.path), DataDirectoryError)).message).to.contain("in use by process");
    expect(Date.now() - began).to.be.below(1_000);
  });

  it("is free again when its process was killed", async () => {
    const holder = start();
    await holder.line(0);
    await holder.end();
    const lock = await DirectoryLock.take(directory.path);
    await failure(DirectoryLock.take(directory.path), DataDirectoryError);
    await lock.release();
  });

  it("is free again when it was released, over and over, and leaves one file", async () => {
    for (let i = 0; i < 5; i++) await (await DirectoryLock.take(directory.path)).release();
    expect((await readdir(directory.path)).sort()).to.deep.equal(["lock.5"]);
  });

  it("goes to exactly one of many that want it at once, on a fresh, a released and a crashed directory", async () => {
    for (let round = 0; round < 20; round++) {
      const attempts = await Promise.allSettled(Array.from({ length: 12 }, () => DirectoryLock.take(directory.path)));
      const winners = attempts.flatMap((attempt) => (attempt.status === "fulfilled" ? [attempt.value] : []));
      expect(winners, `round ${round}`).to.have.length(1);
      await winners[0]!.release();
    }
    const crashed = start();
    await crashed.line(0);
    await crashed.end();
    const starters = [start(), start(), start()];
    const words = await Promise.all(starters.map(async (child) => (await child.line(0)).split(" ")[0]));
    expect(words.sort()).to.deep.equal(["open", "refused", "refused"]);
  });

  it("locks a directory whose path is too long for a socket", async () => {
    const deep = join(directory.path, "x".repeat(120));
    await mkdir(deep);
    const lock = await DirectoryLock.take(deep);
    await failure(DirectoryLock.take(deep), DataDirectoryError);
    await lock.release();
    expect(await readdir(deep)).to.deep.equal([]);
    await (await DirectoryLock.take(deep)).release();
  });
});
