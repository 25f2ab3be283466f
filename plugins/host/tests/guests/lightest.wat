;; Names all nodes from the last to the first and leaves the comparison to the host.
;;; pick
(local.set $i (i32.const 0))
(loop $next
  (i32.store offset=8192 (i32.shl (local.get $i) (i32.const 2))
    (i32.sub (i32.sub (global.get $count) (local.get $i)) (i32.const 1)))
  (local.set $i (i32.add (local.get $i) (i32.const 1)))
  (br_if $next (i32.lt_u (local.get $i) (global.get $count))))
(drop (call $list (i32.const 8192) (global.get $count)))
(i32.store8 (i32.const 64) (i32.const 5))
(i32.const 64)
