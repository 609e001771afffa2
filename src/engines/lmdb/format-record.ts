import { randomBytes } from "node:crypto";
import { crc32 } from "node:zlib";
import { DataDirectoryError } from "./data-directory-error.js";

/** The version of everything on disk: keys, chunks, state records. */
export const FORMAT_VERSION = 1;

const RECORD_BYTES = 28;
const CRC_BYTES = 4;

/**
 * The record that says what a data directory is:
 *
 *     0  u32  CRC-32 of the rest      4  u32  format version
 *     8  u32  how often it was opened, this time included
 *    12  16 bytes, random: the identity of the data directory
 */
export interface FormatRecord {
  readonly opens: number;
  /** 32 hexadecimal digits. */
  readonly directoryId: string;
}

/** The record of a directory that has none yet. */
export function newFormatRecord(): FormatRecord {
  return { opens: 0, directoryId: randomBytes(16).toString("hex") };
}

export function encodeFormatRecord(record: FormatRecord, version = FORMAT_VERSION): Buffer {
  const bytes = Buffer.alloc(RECORD_BYTES);
  bytes.writeUInt32LE(version, 4);
  bytes.writeUInt32LE(record.opens, 8);
  bytes.write(record.directoryId, 12, "hex");
  bytes.writeUInt32LE(crc32(bytes.subarray(CRC_BYTES)), 0);
  return bytes;
}

/** DataDirectoryError when the record is damaged, or says that a newer version wrote this directory. */
export function decodeFormatRecord(bytes: Buffer, directory: string): FormatRecord {
  if (bytes.length < CRC_BYTES + 4 || crc32(bytes.subarray(CRC_BYTES)) !== bytes.readUInt32LE(0)) {
    throw new DataDirectoryError(`the format record in ${directory} is damaged: restore the directory from a backup`);
  }
  const version = bytes.readUInt32LE(4);
  if (version !== FORMAT_VERSION) {
    throw new DataDirectoryError(
      `${directory} has data format ${version}, this version of Tidemark reads format ${FORMAT_VERSION}: ` +
        "start the version that wrote it, or a newer one",
    );
  }
  return { opens: bytes.readUInt32LE(8), directoryId: bytes.toString("hex", 12, RECORD_BYTES) };
}
