import { Monitor, Moon, Sun, UserRound } from "lucide-react";
import { AnimatePresence } from "motion/react";
import * as m from "motion/react-m";
import { useState } from "react";
import { Link, NavLink, ScrollRestoration, useLocation, useOutlet } from "react-router";
import { useSession } from "@/app/session";
import { SignInDialog } from "@/app/sign-in";
import { applyTheme, storedTheme, type Theme } from "@/app/theme";
import { Button } from "@/shared/ui/button";

/** What is around every page: the house's name, where one can go, who one is. Pages cross-fade. */
export function Shell() {
  const outlet = useOutlet();
  const { pathname } = useLocation();
  const room = pathname.startsWith("/admin") ? "/admin" : pathname; // the box office has pages of its own inside
  return (
    <div className="flex min-h-dvh flex-col">
      <a
        href="#page"
        className="sr-only z-50 rounded-md bg-accent px-4 py-2 text-on-accent focus:not-sr-only focus:absolute focus:m-2"
      >
        Skip to the page
      </a>
      <Header />
      <main id="page" tabIndex={-1} className="flex flex-1 flex-col outline-none">
        <AnimatePresence mode="wait" initial={false}>
          <m.div
            key={room}
            initial={{ opacity: 0 }}
            animate={{ opacity: 1 }}
            exit={{ opacity: 0 }}
            transition={{ duration: 0.075 }}
            className="flex flex-1 flex-col"
          >
            {outlet}
          </m.div>
        </AnimatePresence>
      </main>
      <ScrollRestoration />
    </div>
  );
}

function Header() {
  const { isStaff } = useSession();
  return (
    <header className="border-b border-line bg-paper">
      <div className="mx-auto flex h-14 max-w-[100rem] items-center px-4 sm:gap-2 sm:px-6">
        <Link to="/" className="title mr-auto shrink-0 text-lg whitespace-nowrap font-[560] tracking-tight">
          Rowlock
        </Link>
        <nav aria-label="Pages" className="flex items-center">
          <HeaderLink to="/" label="What’s on" />
          <HeaderLink to="/bookings" label="My bookings" short="Mine" />
          {isStaff && <HeaderLink to="/admin" label="Box office" short="Office" />}
        </nav>
        <ThemeButton />
        <VisitorButton />
      </div>
    </header>
  );
}

function HeaderLink({ to, label, short }: { to: string; label: string; short?: string }) {
  return (
    <NavLink
      to={to}
      end={to === "/"}
      className={({ isActive }) =>
        `inline-flex min-h-11 items-center px-1.5 text-sm whitespace-nowrap font-[520] sm:px-3 ${
          isActive
            ? "text-ink underline decoration-accent decoration-2 underline-offset-8"
            : "text-soft hover:text-ink"
        }`
      }
    >
      {short ? (
        <>
          <span className="sm:hidden">{short}</span>
          <span className="hidden sm:inline">{label}</span>
        </>
      ) : (
        label
      )}
    </NavLink>
  );
}

const THEMES: Record<Theme, { next: Theme; icon: typeof Sun; label: string }> = {
  system: { next: "light", icon: Monitor, label: "Colours as your system has them. Switch to light" },
  light: { next: "dark", icon: Sun, label: "Light colours. Switch to dark" },
  dark: { next: "system", icon: Moon, label: "Dark colours. Switch to your system’s" },
};

function ThemeButton() {
  const [theme, setTheme] = useState(storedTheme);
  const { next, icon: Icon, label } = THEMES[theme];
  return (
    <Button
      size="small"
      tone="quiet"
      className="min-h-11 min-w-9"
      aria-label={label}
      title={label}
      onClick={() => {
        applyTheme(next);
        setTheme(next);
      }}
    >
      <Icon size={18} aria-hidden />
    </Button>
  );
}

function VisitorButton() {
  const { visitor, isStaff, loading } = useSession();
  const [open, setOpen] = useState(false);
  return (
    <>
      <Button
        size="small"
        tone="plain"
        className={`min-h-9 max-w-20 sm:max-w-56 ${isStaff ? "shrink-0 max-sm:px-1.5 sm:shrink" : ""} min-w-0`}
        disabled={loading}
        onClick={() => setOpen(true)}
      >
        {isStaff && <UserRound size={18} aria-hidden className="sm:hidden" />}
        <span className={`truncate ${isStaff ? "max-sm:sr-only" : ""}`}>
          {visitor ? visitor.name : "Sign in"}
        </span>
      </Button>
      <SignInDialog open={open} onClose={() => setOpen(false)} />
    </>
  );
}
