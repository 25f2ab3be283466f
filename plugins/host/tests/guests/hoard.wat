;; Takes memory until there is no more, then gives up as an allocator does.
;;; pick
(loop $ever
  (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable))
  (br $ever))
unreachable
