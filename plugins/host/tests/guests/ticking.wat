;; Traps on every third turn, and is a round robin on the others.
;;; pick
(if (i64.eqz (i64.rem_u (local.get $turn) (i64.const 3))) (then unreachable))
(call $verdict (i32.const 0)
  (i32.wrap_i64 (i64.rem_u (local.get $turn) (i64.extend_i32_u (global.get $count)))))
