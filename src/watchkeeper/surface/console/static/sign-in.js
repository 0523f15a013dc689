// A link of `wk console` carries the token behind '#': it never reaches a server log. Taken from there, it is gone from the address.
const token = decodeURIComponent(location.hash.slice(1));
if (token.startsWith("wk_")) {
  history.replaceState(null, "", location.pathname + location.search);
  document.getElementById("token").value = token;
  document.getElementById("sign-in").requestSubmit();
}
