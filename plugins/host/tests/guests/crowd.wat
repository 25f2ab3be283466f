;; Traps when it is told of more than three nodes.
;;; members
(if (i32.gt_u (local.get $len) (i32.const 3)) (then unreachable))
(global.set $count (local.get $len))
(call $forget)
