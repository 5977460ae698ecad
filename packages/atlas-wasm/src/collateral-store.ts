// Collateral that was fetched before. One job: to keep texts with their expiry, in memory or in IndexedDB. Nothing here is trusted: the
// module verifies what comes out each time.

export interface KeptCollateral {
  json: string;
  /** Unix seconds: of the first part of it that ends. */
  expires: number;
  /** Unix seconds. */
  fetched: number;
}

export interface CollateralStore {
  get(key: string): Promise<KeptCollateral | undefined>;
  put(key: string, kept: KeptCollateral): Promise<void>;
  forget(key: string): Promise<void>;
}

export type StoreKind = "indexeddb" | "memory" | "none";

const DATABASE = "atlas-collateral";
const STORE = "collateral";
/* A locked or broken database shall not hold a connection up. */
const PATIENCE_MS = 1000;

const inMemory = new Map<string, KeptCollateral>();
let database: Promise<IDBDatabase> | undefined;

const memory: CollateralStore = {
  get: key => Promise.resolve(inMemory.get(key)),
  put(key, kept) {
    inMemory.set(key, kept);
    return Promise.resolve();
  },
  forget(key) {
    inMemory.delete(key);
    return Promise.resolve();
  },
};

const none: CollateralStore = { get: () => Promise.resolve(undefined), put: () => Promise.resolve(), forget: () => Promise.resolve() };

/* Where the database does not work (private windows, a full disk), memory does. */
const indexed: CollateralStore = {
  async get(key) {
    const known = inMemory.get(key);
    if (known) return known;
    const found = await quietly(async () => done((await open()).transaction(STORE).objectStore(STORE).get(key)));
    return isKept(found) ? found : undefined;
  },
  async put(key, kept) {
    inMemory.set(key, kept);
    await quietly(async () => done((await open()).transaction(STORE, "readwrite").objectStore(STORE).put(kept, key)));
  },
  async forget(key) {
    inMemory.delete(key);
    await quietly(async () => done((await open()).transaction(STORE, "readwrite").objectStore(STORE).delete(key)));
  },
};

export function collateralStore(kind: StoreKind | undefined): CollateralStore {
  if (kind === "none") return none;
  return kind !== "memory" && typeof indexedDB === "object" ? indexed : memory;
}

function open(): Promise<IDBDatabase> {
  database ??= (() => {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    return done(request).then(opened => {
      opened.onversionchange = () => {
        opened.close();
        database = undefined;
      };
      return opened;
    });
  })();
  database.catch(() => (database = undefined));
  return database;
}

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("IndexedDB failed"));
  });
}

async function quietly<T>(work: () => Promise<T>): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>(resolve => {
    timer = setTimeout(resolve, PATIENCE_MS, undefined);
  });
  try {
    return await Promise.race([work(), late]);
  } catch {
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}

function isKept(found: unknown): found is KeptCollateral {
  if (typeof found !== "object" || found === null) return false;
  const { json, expires, fetched } = found as Partial<KeptCollateral>;
  return typeof json === "string" && typeof expires === "number" && typeof fetched === "number";
}
