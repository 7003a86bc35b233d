import { useQuery, useQueryClient } from "@tanstack/react-query";
import { createContext, type ReactNode, use, useCallback, useMemo, useState } from "react";
import { api, unwrap } from "@/shared/api/client";
import type { Role } from "@/shared/api/types";

/** Whoever uses the page. */
export interface Visitor {
  id: string;
  name: string;
  role: Role;
}

/**
 * Who is here, and how that changes.
 *
 * In demo mode anybody may be anybody: a name and a role, kept in this browser, and `actingAs` names the user in each
 * call. Otherwise the server knows, by its cookie, and `actingAs` is undefined.
 */
export interface Session {
  mode: "demo" | "token";
  visitor: Visitor | null;
  actingAs: string | undefined;
  isStaff: boolean;
  isAdmin: boolean;
  /** Where the issuer's sign-in page begins; null where none is set up. */
  loginUrl: string | null;
  loading: boolean;
  /** Be a guest of this name; in demo mode, anybody with any role. */
  enter(name: string, role?: Role): Promise<void>;
  enterWithToken(token: string): Promise<void>;
  leave(): Promise<void>;
}

const SessionContext = createContext<Session | null>(null);
/** Queries whose answers are the same for everybody. */
const PUBLIC = new Set(["shows", "show", "layout"]);
const DEMO_KEY = "rowlock.demo-visitor";

function storedVisitor(): Visitor | null {
  try {
    const stored = JSON.parse(localStorage.getItem(DEMO_KEY) ?? "null") as Partial<Visitor> | null;
    const role = stored?.role;
    if (!stored?.name || !(role === "customer" || role === "admin" || role === "service")) return null;
    return { id: stored.name, name: stored.name, role };
  } catch {
    return null;
  }
}

export function SessionProvider({ children }: { children: ReactNode }) {
  const queries = useQueryClient();
  const { data, isPending } = useQuery({
    queryKey: ["session"],
    queryFn: ({ signal }) => unwrap(api.GET("/api/session", { signal })),
    staleTime: 60_000,
  });
  const [demoVisitor, setDemoVisitor] = useState(storedVisitor);

  const mode = data?.source === "demo" ? "demo" : "token";
  // What everybody sees stays, and with it the page that one signed in on.
  const afterChange = useCallback(
    () => queries.resetQueries({ predicate: ({ queryKey }) => !PUBLIC.has(String(queryKey[0])) }),
    [queries],
  );

  const enter = useCallback(
    async (given: string, role: Role = "customer") => {
      const name = given.trim();
      if (mode === "demo") {
        const visitor = { id: name, name, role };
        localStorage.setItem(DEMO_KEY, JSON.stringify(visitor));
        setDemoVisitor(visitor);
        await queries.invalidateQueries({ queryKey: ["bookings"] });
      } else {
        await unwrap(api.POST("/api/session", { body: { name } }));
        await afterChange();
      }
    },
    [mode, queries, afterChange],
  );
  const enterWithToken = useCallback(
    async (token: string) => {
      await unwrap(api.POST("/api/session", { body: { token: token.trim() } }));
      await afterChange();
    },
    [afterChange],
  );
  const leave = useCallback(async () => {
    localStorage.removeItem(DEMO_KEY);
    setDemoVisitor(null);
    if (mode === "token") await unwrap(api.DELETE("/api/session"));
    await afterChange();
  }, [mode, afterChange]);

  const session = useMemo<Session>(() => {
    const known =
      data?.user_id && data.role && mode === "token"
        ? { id: data.user_id, name: data.name ?? data.user_id, role: data.role }
        : null;
    const visitor = mode === "demo" ? demoVisitor : known;
    return {
      mode,
      visitor,
      actingAs: mode === "demo" ? visitor?.id : undefined,
      isStaff: visitor?.role === "admin" || visitor?.role === "service",
      isAdmin: visitor?.role === "admin",
      loginUrl: data?.login_url ?? null,
      loading: isPending,
      enter,
      enterWithToken,
      leave,
    };
  }, [data, mode, demoVisitor, isPending, enter, enterWithToken, leave]);

  return <SessionContext value={session}>{children}</SessionContext>;
}

export function useSession(): Session {
  const session = use(SessionContext);
  if (!session) throw new Error("useSession outside of SessionProvider");
  return session;
}
