import { randomBytes } from "node:crypto";
import type { Random } from "../ports/random.js";

/** Randomness of the operating system. */
export class SystemRandom implements Random {
  id(): string {
    return randomBytes(16).toString("hex");
  }
}
