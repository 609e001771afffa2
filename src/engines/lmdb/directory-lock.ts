/**
 * Keeps a second process away from a data directory. Node has no file locks, and a pid file outlives its process and lies in
 * containers; a listening Unix socket does neither: the kernel refuses connections as soon as its process is gone.
 *
 * A holder listens on `lock.<n>`, n growing by one with each holder. Who wants in:
 *
 *     1. listens on a name of its own, so that the lock answers from the moment it exists
 *     2. finds the highest n; if somebody answers there, gives up and says who
 *     3. links its socket to `lock.<n + 1>`; the link fails if somebody was faster: back to 2
 *     4. looks again: if there is a higher lock by now, takes its own back: back to 2
 *
 * Only a holder removes lower locks, and the highest one is never removed, not even on leaving: hence a name that was found
 * dead cannot come to life again, and two can never both win.
 */
import { createHash, randomBytes } from "node:crypto";
import { chmod, link, mkdir, readdir, stat, unlink } from "node:fs/promises";
import { connect, createServer } from "node:net";
import type { Server } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { pid } from "node:process";
import { DataDirectoryError } from "./data-directory-error.js";

const LOCK_NAME = /^lock\.(\d+)$/;
const CANDIDATE_NAME = /^candidate\.[0-9a-f]+$/;
/** sun_path holds 108 bytes on Linux and 104 on macOS, with the zero at its end. */
const SOCKET_PATH_BYTES_MAX = 103;
const LONGEST_NAME_BYTES = "/candidate.0123456789abcdef".length;
const ANSWER_MS = 500;
const ATTEMPTS_MAX = 20;

type Holder = "nobody" | "gone" | { readonly pid: string };

export class DirectoryLock {
  private constructor(private readonly server: Server) {}

  /** Takes the lock of a directory, given by its real path. DataDirectoryError, in less than a second, when a process has it. */
  static async take(directory: string): Promise<DirectoryLock> {
    const place = await lockPlace(directory);
    const candidate = join(place, `candidate.${randomBytes(8).toString("hex")}`);
    const server = await listen(candidate, directory);
    try {
      await claim(place, candidate, directory);
    } catch (error) {
      await close(server);
      throw error;
    }
    return new DirectoryLock(server);
  }

  /** Lets others in. The lock's file stays and is found dead. */
  release(): Promise<void> {
    return close(this.server);
  }
}

/** Where the sockets are: in the directory itself, or, when its path is too long for a socket, in one of /tmp named after it. */
async function lockPlace(directory: string): Promise<string> {
  if (Buffer.byteLength(directory) + LONGEST_NAME_BYTES <= SOCKET_PATH_BYTES_MAX) return directory;
  const place = join(tmpdir(), `tidemark-${createHash("sha256").update(directory).digest("hex").slice(0, 16)}`);
  if (Buffer.byteLength(place) + LONGEST_NAME_BYTES > SOCKET_PATH_BYTES_MAX) {
    throw new DataDirectoryError(`the path of ${directory} is too long for a lock, and so is ${place}: use a shorter path`);
  }
  await mkdir(place, { recursive: true, mode: 0o700 });
  const { uid } = await stat(place);
  const mine = userInfo().uid;
  if (mine >= 0 && uid !== mine) throw new DataDirectoryError(`${place}, which locks ${directory}, belongs to another user: remove it`);
  await chmod(place, 0o700);
  return place;
}

async function claim(place: string, candidate: string, directory: string): Promise<void> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const highest = Math.max(0, ...(await lockNumbers(place)));
    const holder = highest === 0 ? "nobody" : await ask(join(place, `lock.${highest}`));
    if (typeof holder === "object") {
      throw new DataDirectoryError(`${directory} is in use by process ${holder.pid}: stop it, or choose another data directory`);
    }
    const lock = join(place, `lock.${highest + 1}`);
    if (!(await linked(candidate, lock))) continue;
    const numbers = await lockNumbers(place);
    if (numbers.some((number) => number > highest + 1)) {
      await removed(lock);
      continue;
    }
    await removed(candidate);
    for (const number of numbers) if (number <= highest) await removed(join(place, `lock.${number}`));
    await sweepCandidates(place);
    return;
  }
  throw new DataDirectoryError(`${directory} is being opened by several processes at once: start one`);
}

async function lockNumbers(place: string): Promise<number[]> {
  const names = await readdir(place);
  return names.map((name) => Number(LOCK_NAME.exec(name)?.[1] ?? 0)).filter((number) => number > 0);
}

/** Removes what starters that died in between have left behind. */
async function sweepCandidates(place: string): Promise<void> {
  for (const name of await readdir(place)) {
    const path = join(place, name);
    if (CANDIDATE_NAME.test(name) && (await ask(path)) === "gone") await removed(path);
  }
}

/** Who answers at a socket. A process that is stopped accepts and stays silent: it holds the lock all the same. */
function ask(path: string): Promise<Holder> {
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket = connect(path);
    const held = (): void => {
      socket.destroy();
      resolve({ pid: answer.trim() === "" ? "unknown (it does not answer)" : answer.trim() });
    };
    socket.setEncoding("utf8");
    socket.setTimeout(ANSWER_MS, held);
    socket.on("data", (text: string) => {
      answer += text;
    });
    socket.on("end", held);
    socket.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNREFUSED" || error.code === "ENOENT") resolve("gone");
      else if (error.code === "EAGAIN" || error.code === "ECONNRESET" || error.code === "EPIPE") held();
      else reject(new DataDirectoryError(`the lock ${path} cannot be asked: ${error.message}`, { cause: error }));
    });
  });
}

function listen(path: string, directory: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      socket.on("error", () => socket.destroy());
      socket.end(`${pid}\n`);
    });
    server.once("error", (error) => {
      reject(new DataDirectoryError(`${directory} cannot be locked: ${error.message}`, { cause: error }));
    });
    server.listen(path, () => {
      // The lock is no reason for the process to live on.
      server.unref();
      resolve(server);
    });
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => {
      resolve();
    });
  });
}

/** False when the new name is taken, or the candidate was swept away: try again. */
async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if (hasCode(error, "EEXIST") || hasCode(error, "ENOENT")) return false;
    throw new DataDirectoryError(`the lock ${to} cannot be made: ${String(error)}`, { cause: error });
  }
}

async function removed(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (!hasCode(error, "ENOENT")) throw error;
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
