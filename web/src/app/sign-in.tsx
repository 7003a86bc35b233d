import { type FormEvent, useState } from "react";
import { useLocation } from "react-router";
import { useSession } from "@/app/session";
import { ApiError, say } from "@/shared/api/problems";
import type { Role } from "@/shared/api/types";
import { Button, buttonClass } from "@/shared/ui/button";
import { Dialog } from "@/shared/ui/dialog";
import { Field, Select } from "@/shared/ui/field";

interface SignInProps {
  open: boolean;
  onClose(): void;
  /** Instead of closing: what one had to sign in for goes on, and closes the dialog by itself. */
  onEntered?(): void;
  /** Where only staff get further, whoever one was before. */
  staff?: boolean;
}

const NAME_LENGTH_MAX = 64; // as the API has it

/** Who are you? A guest by name; staff by token or the issuer's page; in demo mode anybody, in any role. */
export function SignInDialog({ open, onClose, onEntered, staff = false }: SignInProps) {
  const { visitor } = useSession();
  const known = visitor !== null && !staff;
  const title = staff ? "Sign in as staff" : (visitor?.name ?? "Who are the seats for?");
  return (
    <Dialog open={open} onClose={onClose} title={title}>
      {known ? <Known onLeft={onClose} /> : <Unknown staff={staff} onEntered={onEntered ?? onClose} />}
    </Dialog>
  );
}

function Known({ onLeft }: { onLeft(): void }) {
  const { visitor, leave, mode } = useSession();
  const [error, setError] = useState<unknown>();
  if (!visitor) return null;
  const does = { customer: "books seats", service: "books for anybody", admin: "runs the house" }[
    visitor.role
  ];
  return (
    <>
      <p className="text-soft">
        {mode === "demo" ? `In this demo, ${visitor.name} ${does}.` : `Signed in; ${visitor.name} ${does}.`}
      </p>
      {error !== undefined && <p className="text-accent">{say(error).title}</p>}
      <Button onClick={() => leave().then(onLeft, setError)}>
        {mode === "demo" ? "Be somebody else" : "Sign out"}
      </Button>
    </>
  );
}

function Unknown({ staff, onEntered }: { staff: boolean; onEntered(): void }) {
  const { mode } = useSession();
  const [byToken, setByToken] = useState(staff && mode === "token");
  if (byToken) return <StaffForm onEntered={onEntered} onBack={() => setByToken(false)} />;
  return (
    <>
      <NameForm first={staff ? "admin" : "customer"} onEntered={onEntered} />
      {mode === "token" && (
        <button
          type="button"
          className="self-start text-sm text-soft underline underline-offset-4 hover:text-ink"
          onClick={() => setByToken(true)}
        >
          I work here
        </button>
      )}
    </>
  );
}

function errorWords(cause: unknown): string {
  const { title, hint } = say(cause);
  return `${title}. ${hint}`;
}

function tokenErrorWords(cause: unknown): string {
  const refused = cause instanceof ApiError && cause.code === "unauthenticated";
  return refused ? "This token is not valid, or no longer." : errorWords(cause);
}

/** A form's sending: once at a time, with its error in words. */
function useSending(send: () => Promise<void>, done: () => void, words = errorWords) {
  const [error, setError] = useState<string>();
  const [busy, setBusy] = useState(false);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (busy) return;
    setBusy(true);
    setError(undefined);
    try {
      await send();
      done();
    } catch (cause) {
      setError(words(cause));
    } finally {
      setBusy(false);
    }
  };
  return { error, busy, submit };
}

function NameForm({ first, onEntered }: { first: Role; onEntered(): void }) {
  const { mode, enter } = useSession();
  const [name, setName] = useState("");
  const [role, setRole] = useState<Role>(first);
  const { error, busy, submit } = useSending(() => enter(name, role), onEntered);
  return (
    <form onSubmit={submit} className="flex flex-col gap-5">
      <Field
        label="Your name"
        name="name"
        autoComplete="name"
        required
        maxLength={NAME_LENGTH_MAX}
        pattern=".*\S.*"
        title="At least one letter"
        value={name}
        error={error}
        hint={mode === "token" ? "That’s all. This browser keeps your bookings together." : undefined}
        onChange={(event) => setName(event.target.value)}
      />
      {mode === "demo" && (
        <Select
          label="Role"
          hint="This is a demo: nobody checks. The box office opens to admins."
          value={role}
          onChange={(event) => setRole(event.target.value as Role)}
        >
          <option value="customer">Customer</option>
          <option value="admin">Admin</option>
        </Select>
      )}
      <Button type="submit" tone="accent" size="large" busy={busy}>
        Go on
      </Button>
    </form>
  );
}

function StaffForm({ onEntered, onBack }: { onEntered(): void; onBack(): void }) {
  const { enterWithToken, loginUrl } = useSession();
  const { pathname } = useLocation();
  const [token, setToken] = useState("");
  const { error, busy, submit } = useSending(() => enterWithToken(token), onEntered, tokenErrorWords);
  return (
    <div className="flex flex-col gap-5">
      {loginUrl && (
        <a
          href={`${loginUrl}?next=${encodeURIComponent(pathname)}`}
          className={buttonClass("accent", "large")}
        >
          Sign in with your work account
        </a>
      )}
      <form onSubmit={submit} className="flex flex-col gap-5">
        <Field
          label="Token"
          type="password"
          autoComplete="off"
          required
          value={token}
          error={error}
          hint="From whoever runs the server: `rowlock token` prints one."
          onChange={(event) => setToken(event.target.value)}
        />
        <Button type="submit" busy={busy} tone={loginUrl ? "plain" : "accent"}>
          Sign in
        </Button>
      </form>
      <button
        type="button"
        className="self-start text-sm text-soft underline underline-offset-4 hover:text-ink"
        onClick={onBack}
      >
        Back
      </button>
    </div>
  );
}
