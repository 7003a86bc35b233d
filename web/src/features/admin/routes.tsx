import { Route, Routes } from "react-router";
import { usePage } from "@/shared/ui/page";

/** The box office, at /admin and /admin/shows/:id; its own bundle, fetched when somebody goes there. */
export function Component() {
  return (
    <Routes>
      <Route index element={<Overview />} />
      <Route path="shows/:id" element={<Overview />} />
    </Routes>
  );
}

function Overview() {
  const heading = usePage("Box office");
  return (
    <h1 ref={heading} tabIndex={-1} className="text-2xl">
      Box office
    </h1>
  );
}
