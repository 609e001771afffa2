import { open } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { join } from "node:path";
import type { Journal } from "../../ports/journal.js";
import { DataDirectoryError } from "./data-directory-error.js";

/** LMDB's name for it, in the data directory. */
export const STORE_FILE = "data.mdb";

/** LMDB's two meta pages, as far as they matter here; offsets count from the start of the page. */
const META_MAGIC = 0xbeefc0de;
const MAGIC_AT = 24;
const PAGE_SIZE_AT = 48;
const LAST_PAGE_AT = 144;
const TRANSACTION_AT = 152;
const META_BYTES = 160;
const PAGE_SIZE_MIN = 512;
const PAGE_SIZE_MAX = 65_536;

/**
 * LMDB writes no page that a transaction took and freed again, so that a sound file may lack a few pages at its end. More than
 * this means that it was cut.
 */
const MISSING_PAGES_MAX = 64;

interface Meta {
  readonly pageBytes: number;
  readonly lastPage: number;
  readonly transaction: bigint;
}

/**
 * Looks at the store's file before LMDB maps it: reading a mapped page that a cut file lacks would kill the process. Refuses a
 * cut file; fills up what may rightly lack, with zeros, which LMDB and the checksums tell from data. No file: a new store.
 */
export async function checkStoreFile(directory: string, journal: Journal): Promise<void> {
  const path = join(directory, STORE_FILE);
  const file = await openIfThere(path);
  if (file === undefined) return;
  try {
    const { size } = await file.stat();
    if (size === 0) return;
    const meta = await newestMeta(file);
    if (meta === undefined) throw new DataDirectoryError(`${path} is no Tidemark store: its first pages are not LMDB's. Restore it from a backup`);
    const needed = (meta.lastPage + 1) * meta.pageBytes;
    if (size >= needed) return;
    if (size < needed - MISSING_PAGES_MAX * meta.pageBytes) {
      throw new DataDirectoryError(`${path} was cut: it has ${size} of ${needed} bytes. Restore it from a backup`);
    }
    await file.truncate(needed);
    journal.warn("filled up the end of the store's file", { path, bytes: size, filledBytes: needed - size });
  } finally {
    await file.close();
  }
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, "r+");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}

async function newestMeta(file: FileHandle): Promise<Meta | undefined> {
  const first = await metaAt(file, 0);
  if (first === undefined) return undefined;
  const second = await metaAt(file, first.pageBytes);
  return second !== undefined && second.transaction > first.transaction ? second : first;
}

async function metaAt(file: FileHandle, position: number): Promise<Meta | undefined> {
  const bytes = Buffer.alloc(META_BYTES);
  const { bytesRead } = await file.read(bytes, 0, META_BYTES, position);
  if (bytesRead < META_BYTES || bytes.readUInt32LE(MAGIC_AT) !== META_MAGIC) return undefined;
  const pageBytes = bytes.readUInt32LE(PAGE_SIZE_AT);
  if (pageBytes < PAGE_SIZE_MIN || pageBytes > PAGE_SIZE_MAX) return undefined;
  return { pageBytes, lastPage: Number(bytes.readBigUInt64LE(LAST_PAGE_AT)), transaction: bytes.readBigUInt64LE(TRANSACTION_AT) };
}
