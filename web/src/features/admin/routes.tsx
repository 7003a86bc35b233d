import { useState } from "react";
import { Route, Routes } from "react-router";
import { NotFound } from "@/app/not-found";
import { useSession } from "@/app/session";
import { SignInDialog } from "@/app/sign-in";
import { Button } from "@/shared/ui/button";
import { usePage } from "@/shared/ui/page";
import { EmptyState, Loading, Skeleton } from "@/shared/ui/states";
import { NewShowPage } from "./new-show-page";
import { Overview } from "./overview";
import { ShowPage } from "./show-page";

/** The box office, at /admin and below; its own bundle, fetched when somebody goes there. */
export function Component() {
  const { isStaff, loading } = useSession();
  if (loading) {
    return (
      <Loading label="Loading the box office">
        <Skeleton className="m-6 h-96" />
      </Loading>
    );
  }
  if (!isStaff) return <StaffOnly />;
  return (
    <Routes>
      <Route index element={<Overview />} />
      <Route path="new" element={<NewShowPage />} />
      <Route path="shows/:id" element={<ShowPage />} />
      <Route path="*" element={<NotFound />} />
    </Routes>
  );
}

function StaffOnly() {
  const heading = usePage("Box office");
  const [open, setOpen] = useState(false);
  return (
    <>
      <EmptyState
        heading={heading}
        level={1}
        title="The box office is for staff"
        action={
          <Button tone="accent" onClick={() => setOpen(true)}>
            Sign in as staff
          </Button>
        }
      >
        Sign in as an admin to make shows and look after them.
      </EmptyState>
      <SignInDialog staff open={open} onClose={() => setOpen(false)} />
    </>
  );
}
