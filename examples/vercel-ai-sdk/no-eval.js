// The SDK's validator, Zod, compiles its checks where it may. A strict Content Security Policy says no, and reports that it was asked:
// so it is told before anything else is loaded.
import { config } from "zod";

config({ jitless: true });
